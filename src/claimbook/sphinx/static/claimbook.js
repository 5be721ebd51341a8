/* What the pages do in a browser: typeset in pieces, fold, filter the ledger, preview what a link leads to.
   Without this script everything is shown. It asks no other host for anything. */
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const create = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  /* --- Mathematics: what is on the screen first, then the rest; in the ledger only what is scrolled to. The page
     appears once the first part is done, so that nothing moves under the reader's eyes. --- */

  const WAIT = 2500, BATCH = 60, NEAR = "600px";
  const waiting = new Set();
  let queue = Promise.resolve();
  const reveal = () => root.classList.remove("is-typesetting");

  function typeset(units) {
    queue = queue.then(() => {
      const chosen = units.filter(unit => waiting.delete(unit));
      return chosen.length ? MathJax.typesetPromise(chosen).then(() => markScrollers(
        chosen.flatMap(unit => [unit, ...all("*", unit)]).filter(box => box.matches(BOXES)))) : null;
    });
    return queue;
  }

  const OVERHANG = 5; // pixels by which an accent may stick out of its formula's box

  /* Only what is wider than its line gets a box that scrolls, and only that is a stop for the keyboard. */
  function markScrollers(boxes) {
    const wide = boxes.map(box => box.clientWidth > 0 && box.scrollWidth > box.clientWidth + OVERHANG);
    boxes.forEach((box, number) => {
      box.classList.toggle("scrolls", wide[number]);
      if (wide[number]) box.tabIndex = 0; else box.removeAttribute("tabindex");
    });
  }
  const BOXES = "span.math, div.math > mjx-container, pre";
  const markAll = () => markScrollers(all("article").flatMap(article => all(BOXES, article)));

  async function typesetPage() {
    const units = all(".math, .tex2jax_process").filter(unit => !unit.parentElement.closest(".tex2jax_process"));
    for (const unit of units) {
      waiting.add(unit);
      if (unit.matches("span.math")) unit.dataset.tex = unit.textContent;
    }
    const onScreen = unit => {
      const box = unit.getBoundingClientRect();
      return unit.checkVisibility() && box.bottom > -innerHeight && box.top < 2 * innerHeight;
    };
    await typeset(units.filter(onScreen));
    reveal();
    const later = new IntersectionObserver(
      entries => typeset(entries.filter(entry => entry.isIntersecting).map(entry => entry.target)),
      {rootMargin: NEAR});
    for (const unit of waiting) if (unit.closest(".typeset-on-demand")) later.observe(unit);
    const rest = [...waiting].filter(unit => !unit.closest(".typeset-on-demand"));
    for (let start = 0; start < rest.length; start += BATCH) {
      await typeset(rest.slice(start, start + BATCH));
      await new Promise(resolve => setTimeout(resolve));
    }
  }

  window.MathJax = {...window.MathJax, startup: {
    ...window.MathJax?.startup,
    typeset: false,
    pageReady: () => MathJax.startup.defaultPageReady().then(typesetPage),
  }};
  root.classList.add("is-typesetting");
  setTimeout(reveal, WAIT);

  /* --- Folds: set-up, witnesses and verdicts are folded unless the reader wants everything. --- */

  const KEY = "claimbook-shows";
  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const remember = value => { try { localStorage.setItem(KEY, value); } catch { /* private window */ } };
  const folds = () => all("article details.hide, article details.checks");

  function show(mode) {
    for (const fold of folds()) fold.open = mode === "everything";
    for (const button of all(".reading-mode button"))
      button.setAttribute("aria-pressed", String(button.value === mode));
    markAll();
    openTarget();
  }

  function openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    let opened = false;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details"))
      if (!fold.open) fold.open = opened = true;
    if (opened) target.scrollIntoView();
  }

  function offerModes() {
    const place = document.querySelector(".article-header-buttons");
    const mode = remembered() === "everything" ? "everything" : "physics";
    if (place && folds().length) {
      const buttons = [["physics", "Fold set-up, cross-checks and verdicts"], ["everything", "Unfold all"]].map(
        ([value, title]) => create("button", {type: "button", value, title, textContent: value, onclick: () => {
          remember(value);
          show(value);
        }}));
      const group = create("div", {className: "reading-mode"}, ...buttons);
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", "How much to show");
      place.prepend(group);
    }
    show(mode);
  }

  let closed = [];
  function unfold() {
    closed = all("article details").filter(fold => !fold.open);
    for (const fold of closed) fold.open = true;
  }

  /* --- The ledger: filters, and one fold per chapter. --- */

  const plain = text => text.replace(/\\[()]/g, "").replace(/\\sqrt ?/g, "√").replace(/\\sim/g, "∼").replace(/[\\{}]/g, "");

  function offerFilters(ledger) {
    const groups = all("details.ledger-group", ledger);
    const rows = groups.flatMap(group => all("tbody tr", group).map(
      row => ({row, group, text: row.textContent.toLowerCase()})));
    const asked = new URLSearchParams(location.search);
    const choice = (name, label, options) => create("label", {textContent: label + " "}, create("select", {name},
      create("option", {value: "", textContent: "all"}),
      ...options.map(([value, textContent]) => create("option", {value, textContent}))));
    const kinds = new Map(rows.map(({row}) => {
      const badge = row.querySelector(".claim-badge");
      return [row.dataset.kind = row.className.match(/kind-(\w+)/)[1], badge.textContent.replace(/^\W+/, "")];
    }));
    const form = create("form", {className: "ledger-filter"},
      create("label", {textContent: "Text "}, create("input", {name: "text", type: "search"})),
      choice("chapter", "Chapter", groups.map(
        group => [group.id, plain(group.querySelector(".fold-title").textContent)])),
      choice("kind", "Kind", [...kinds]));
    const count = create("output");
    form.append(count);
    form.setAttribute("role", "search");
    form.setAttribute("aria-label", "Filter the claims");
    for (const field of all("input, select", form)) field.value = asked.get(field.name) ?? "";

    function filter() {
      const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chapter = form.elements.chapter.value, kind = form.elements.kind.value;
      const active = Boolean(words.length || chapter || kind);
      const shown = new Map(groups.map(group => [group, 0]));
      for (const {row, group, text} of rows) {
        row.hidden = (chapter && group.id !== chapter) || (kind && row.dataset.kind !== kind)
          || !words.every(word => text.includes(word));
        if (!row.hidden) shown.set(group, shown.get(group) + 1);
      }
      for (const [group, number] of shown) {
        group.hidden = !number;
        group.open = active && number > 0;
      }
      const number = rows.filter(({row}) => !row.hidden).length;
      count.textContent = active ? `${number} of ${rows.length} claims` : `${rows.length} claims`;
    }
    form.addEventListener("input", filter);
    form.addEventListener("submit", event => event.preventDefault());
    ledger.prepend(form);
    filter();
    openTarget();
  }

  /* --- Previews: what a link within the book leads to, and what the symbols of a formula stand for. --- */

  const DELAY = 250, MOST = 1500; // ms; characters
  const pages = new Map();
  const box = create("div", {id: "preview", hidden: true});
  box.setAttribute("role", "tooltip");
  let timer, owner;

  async function documentAt(url) {
    if (url.pathname === location.pathname) return document;
    if (!/^https?:$/.test(url.protocol) || url.origin !== location.origin) return null; // a file may not be read
    if (!pages.has(url.pathname))
      pages.set(url.pathname, fetch(url.pathname).then(answer => answer.ok ? answer.text() : "")
        .then(text => text && new DOMParser().parseFromString(text, "text/html")).catch(() => null));
    return pages.get(url.pathname);
  }

  function excerpt(target) {
    const whole = target.closest("div.math, figure, .citation, .claim, dt, tr")
      ?? (target.matches("section") ? null : target.closest("p, li, table"));
    if (whole?.matches("dt")) return [whole, whole.nextElementSibling?.querySelector("p")];
    if (whole?.matches("tr")) return all("td", whole).slice(0, 2).flatMap(cell => [...cell.children]);
    if (whole) return [whole];
    const section = target.matches("section") ? target : target.closest("section");
    return section ? [...section.children].filter(child => child.matches("h1, h2, h3, p, div.math, figure")).slice(0, 2)
      : [];
  }

  function copy(element, base) {
    const clone = element.cloneNode(true);
    for (const extra of all(".headerlink, .legend, .backrefs, script", clone)) extra.remove();
    for (const marked of [clone, ...all("[id]", clone)]) marked.removeAttribute("id");
    for (const picture of all("img", clone)) picture.src = new URL(picture.getAttribute("src"), base).href;
    for (const link of all("a", clone)) link.replaceWith(...link.childNodes);
    return /^(TD|TR|DT)$/.test(clone.tagName) ? create("div", {}, ...clone.childNodes) : clone;
  }

  async function contentOf(link) {
    const url = new URL(link.href);
    const target = (await documentAt(url))?.getElementById(decodeURIComponent(url.hash.slice(1)));
    const parts = target ? excerpt(target).filter(Boolean) : [];
    return parts.reduce((sum, part) => sum + part.textContent.length, 0) < MOST ? parts.map(part => copy(part, url)) : [];
  }

  async function open(element, content) {
    owner = element;
    const parts = await content(element);
    if (owner !== element || !parts.length) return;
    box.replaceChildren(...parts);
    box.hidden = false;
    element.setAttribute("aria-describedby", box.id);
    if (window.MathJax?.typesetPromise && /\\\(|\\\[/.test(box.textContent)) {
      queue = queue.then(() => MathJax.typesetPromise([box]));
      await queue;
    }
    const from = element.getBoundingClientRect(), size = box.getBoundingClientRect();
    const below = from.bottom + size.height + 12 < innerHeight || from.top < size.height + 12;
    const left = Math.max(8, Math.min(from.left, root.clientWidth - size.width - 8));
    box.style.left = `${left + scrollX}px`;
    box.style.top = `${(below ? from.bottom + 6 : from.top - size.height - 6) + scrollY}px`;
  }

  function close() {
    clearTimeout(timer);
    owner?.removeAttribute("aria-describedby");
    owner = null;
    box.hidden = true;
  }

  async function symbolsOf(formula) {
    if (!window.claimbook.symbols) {
      const source = document.currentScript?.src ?? all("script[src*='claimbook.js']")[0].src;
      await new Promise(resolve => document.head.append(create("script", {
        src: source.replace(/claimbook\.js.*/, "symbols.js"), onload: resolve, onerror: resolve})));
    }
    let rest = formula.dataset.tex.replace(/^\\\(|\\\)$/g, "").replace(/\s+/g, " ");
    const found = [];
    for (const [symbol, meaning] of window.claimbook.symbols ?? []) {
      const literal = symbol.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      const alone = new RegExp(`(?<![\\p{L}_^\\\\]|[_^]\\{)${literal}(?![\\p{L}_])`, "gu");
      if (!alone.test(rest)) continue;
      rest = rest.replace(alone, "·");
      found.push(create("p", {innerHTML: `<b>\\(${symbol.replace(/</g, "&lt;")}\\)</b> ${meaning}`}));
    }
    return found;
  }

  function offerPreviews() {
    document.body.append(box);
    const later = (element, content) => {
      if (element === owner) return clearTimeout(timer);
      clearTimeout(timer);
      timer = setTimeout(() => { close(); open(element, content); }, DELAY);
    };
    const previewed = "article a[href*='#']:not(.headerlink)";
    document.addEventListener("pointerover", event => {
      if (event.pointerType === "touch") return;
      const link = event.target.closest?.(previewed), formula = event.target.closest?.("article span.math[data-tex]");
      if (link && link.hash) later(link, contentOf);
      else if (formula && !formula.closest("a, summary")) later(formula, symbolsOf);
      else if (box.contains(event.target)) clearTimeout(timer);
      else if (!box.hidden || timer) { clearTimeout(timer); timer = setTimeout(close, DELAY); }
    });
    document.addEventListener("focusin", event => {
      const link = event.target.closest?.(previewed);
      if (link?.hash && link.matches(":focus-visible")) later(link, contentOf); else close();
    });
    document.addEventListener("keydown", event => { if (event.key === "Escape") close(); });
    document.addEventListener("click", event => { if (!box.contains(event.target)) close(); });
  }

  /* --- All of it. --- */

  window.claimbook = {
    typesetAll: () => typeset([...waiting]),
    showAll: () => { unfold(); return typeset([...waiting]).then(markAll); },
  };
  addEventListener("beforeprint", () => {
    unfold();
    const units = [...waiting];
    waiting.clear();
    if (units.length && window.MathJax?.typeset) MathJax.typeset(units);
  });
  addEventListener("afterprint", () => { for (const fold of closed) fold.open = false; });
  addEventListener("hashchange", openTarget);
  addEventListener("resize", markAll);
  document.addEventListener("DOMContentLoaded", () => {
    if (!document.querySelector("script[src*='mathjax']")) reveal();
    for (const ledger of all(".ledger-tool")) offerFilters(ledger);
    offerModes();
    offerPreviews();
  });
})();
