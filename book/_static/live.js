// The method of the chapter "Symmetric Liouville space" for the paper's model, in the page. The bath is bosons over a
// condensate: v[n, a] has the occupations n = (x, y, z) of the modes σ/2 above the bath's own stationary state, and
// a = (1, τx, τy, τz) of the central spin. `centralspinLive.evolve({N, g0, central_field, …, tolerance})` computes.
function centralspinMethod() {
  const DEGREE = 60, MOST = 150000, WORK = 1e9;  // of a Taylor series; the page's means: unknowns, hops × steps
  // Hops b†_to b_source of τ+S− + τ−S+, mode −1 being the condensate, with the shares of −i[τ, ·]/2 and {τ, ·}/2 on the
  // central spin: of τx and τy in the first four, of τy and τx in the others. The bath by itself has ⟨σz⟩ = r.
  const hops = r => [
    [0, -1, 1, r], [-1, 0, 1, 0], [2, 0, -r, -1], [0, 2, 0, 1],
    [1, -1, 1, -r], [-1, 1, 1, 0], [2, 1, -r, 1], [1, 2, 0, -1],
  ];

  // Occupations with x + y + w z ≤ K or two quanta, then those with one quantum more: what the first set drops lies in
  // the second, so that their difference tells the error.
  function occupations(N, K) {
    const w = Math.max(2, Math.floor(1.2 * Math.log(Math.min(N, 1e4)) - 1.2)), high = N < Infinity ? Math.max(3, K / w + 1) : 0;
    const inside = (x, y, z) => x >= 0 && y >= 0 && z >= 0 && (x + y + w * z <= K || x + y + z <= 2), inner = [], rim = [];
    for (let z = 0; z <= high; z++) for (let x = 0; x <= K + 1; x++) for (let y = 0; x + y <= Math.min(K + 1, N - z); y++)
      if (inside(x, y, z)) inner.push([x, y, z]);
      else if (inside(x - 1, y, z) || inside(x, y - 1, z) || inside(x, y, z - 1)) rim.push([x, y, z]);
    return [inner.concat(rim), inner.length];
  }

  // The rows of the generator: where hops come from, those of the first four until `middle`, and their two numbers.
  function generator(p, list, inner) {
    const most = k => list.reduce((high, n) => Math.max(high, n[k]), 0) + 2, side = most(0), size = list.length;
    const at = new Int32Array(side * side * most(2)).fill(-1), key = (x, y, z) => (z * side + x) * side + y;
    const start = new Int32Array(size + 1), middle = start.slice(), from = new Int32Array(8 * size);
    const first = new Float64Array(8 * size), second = first.slice(), damping = new Float64Array(size);
    const known = hops((p.bath_pump - p.bath_decay) / (p.bath_pump + p.bath_decay));
    let count = 0;
    list.forEach((n, i) => { at[key(...n)] = i; });
    list.forEach((n, i) => {
      const excited = n[0] + n[1] + n[2];
      damping[i] = (p.bath_pump + p.bath_decay) * ((n[0] + n[1]) / 2 + n[2]);
      known.forEach(([to, source, one, two], k) => {
        if (k === 4) middle[i] = count;
        if (to >= 0 && !n[to] || p.N === Infinity && to >= 0 && source >= 0) return;
        // To or from the condensate of N − |n|: √(1 − k/N). Between two modes: 1/√N.
        let amplitude = p.g0 * Math.sqrt(to < 0 ? 1 - excited / p.N : source < 0 ? 1 - (excited - 1) / p.N : 1 / p.N);
        if (to >= 0) amplitude *= Math.sqrt(n[to]);
        if (source >= 0) amplitude *= Math.sqrt(n[source] + 1);
        const j = at[key(...n.map((m, mode) => m + (mode === source) - (mode === to)))];
        if (j >= 0 && amplitude) from[count] = 4 * j, first[count] = amplitude * one, second[count++] = amplitude * two;
      });
      start[i + 1] = count;
    });
    return {p, size, inner, start, middle, from, first, second, damping, count};
  }

  // The next Taylor term of both columns, t = scale (L + mean) x, added to the sums; returns its largest entry.
  function term({p, size, inner, start, middle, from, first, second, damping}, mean, scale, x, y, t, u, sumX, sumY) {
    const [wx, wy, wz] = p.central_field.map(w => 2 * w), rate = p.central_pump + p.central_decay, drive = rate - 2 * p.central_decay;
    let large = 0;
    for (let i = 0, k = 0; i < size; i++) {
      const o = 4 * i, half = middle[i], end = start[i + 1], left = mean - damping[i], side = left - rate / 2, along = left - rate;
      const x0 = x[o], x1 = x[o + 1], x2 = x[o + 2], x3 = x[o + 3], y0 = y[o], y1 = y[o + 1], y2 = y[o + 2], y3 = y[o + 3];
      let a0 = left * x0, a1 = side * x1 - wz * x2 + wy * x3, a2 = wz * x1 + side * x2 - wx * x3, a3 = drive * x0 - wy * x1 + wx * x2 + along * x3;
      let b0 = left * y0, b1 = side * y1 - wz * y2 + wy * y3, b2 = wz * y1 + side * y2 - wx * y3, b3 = drive * y0 - wy * y1 + wx * y2 + along * y3;
      for (; k < half; k++) {
        const j = from[k], c = first[k], d = second[k], v = x[j + 2], w = y[j + 2];
        a0 += d * v; a2 += d * x[j] - c * x[j + 3]; a3 += c * v;
        b0 += d * w; b2 += d * y[j] - c * y[j + 3]; b3 += c * w;
      }
      for (; k < end; k++) {
        const j = from[k], c = first[k], d = second[k], v = x[j + 1], w = y[j + 1];
        a0 += d * v; a1 += d * x[j] + c * x[j + 3]; a3 -= c * v;
        b0 += d * w; b1 += d * y[j] + c * y[j + 3]; b3 -= c * w;
      }
      const other = i < inner ? scale : 0;  // the second column stays in the inner set
      sumX[o] += t[o] = a0 *= scale; sumX[o + 1] += t[o + 1] = a1 *= scale; sumX[o + 2] += t[o + 2] = a2 *= scale; sumX[o + 3] += t[o + 3] = a3 *= scale;
      sumY[o] += u[o] = b0 * other; sumY[o + 1] += u[o + 1] = b1 * other; sumY[o + 2] += u[o + 2] = b2 * other; sumY[o + 3] += u[o + 3] = b3 * other;
      const top = a0 * a0 + a1 * a1 + a2 * a2 + a3 * a3;
      if (top > large) large = top;
    }
    return Math.sqrt(large);
  }

  // Taylor steps of v̇ = L v on the whole set and on the inner one; what stands at `read` at all times, of both.
  function step(L, times, read, tolerance) {
    const {p, size, start, first, second, damping} = L, span = times[times.length - 1], found = [];
    const pair = () => [0, 0].map(() => new Float64Array(4 * size)), buffers = [pair(), pair()];
    const mean = damping.reduce((sum, rate) => sum + rate / size, 0), own = 2 * (p.central_pump + p.central_decay + Math.hypot(...p.central_field));
    let [v, w] = pair(), widest = 0, now = 0;
    v[0] = v[3] = w[0] = w[3] = 1;  // |↑⟩, and no quanta
    for (let i = 0; i < size; i++) {
      let sum = own + Math.abs(mean - damping[i]);
      for (let k = start[i]; k < start[i + 1]; k++) sum += Math.abs(first[k]) + Math.abs(second[k]);
      if (sum > widest) widest = sum;
    }
    if (!(widest * span * L.count < WORK)) return null;
    for (let h = 8 / widest; found.length < times.length;) {
      const length = Math.min(h, span - now), target = Math.max(tolerance * length / span, 2 ** -54), look = (a, b) => read.flatMap(i => [a[i], b[i]]);
      const terms = [look(v, w)], sums = [v.slice(), w.slice()];
      let x = v, y = w, last = 1, before = 1, degree = 0;
      while (last + before > target && degree < DEGREE) {
        const [t, u] = buffers[degree & 1];
        before = last;
        last = term(L, mean, length / ++degree, x, y, t, u, ...sums);
        terms.push(look(x = t, y = u));
      }
      if (last + before > target) { h /= 2; continue; }
      for (let t; (t = times[found.length] - now) <= length * (1 + 1e-13);) {
        const s = length && t / length, sum = terms[0].map(() => 0);
        for (let k = degree; k >= 0; k--) for (let i = 0; i < sum.length; i++) sum[i] = sum[i] * s + terms[k][i];
        found.push(sum.map(value => value * Math.exp(-mean * t)));
      }
      const shrink = Math.exp(-mean * length);
      [v, w] = sums.map(sum => sum.map(value => shrink * value));
      now += length;
      if (length === h) h *= degree < 38 ? 1.2 : degree > 48 ? 0.9 : 1;
    }
    return found;
  }

  // The curves at one cut, and by how much at most the two sets differ in what is shown.
  function attempt(p, list, inner) {
    const places = [1, 2, 3, 4].filter(j => j <= p.N).map(j => list.findIndex(([x, y, z]) => x === j && !y && !z));
    const states = step(generator(p, list, inner), p.times, [3, 0, ...places.map(i => 4 * i)], p.tolerance / 200);
    if (!states) return null;
    const epsilon = (p.bath_decay - p.bath_pump) / (p.bath_decay + p.bath_pump), unit = epsilon > 0 ? 2 * epsilon : 1;
    const rows = [[1, 0, 0, 0, 0]], curves = {tau_z: [], q: [], Q2: [], Q4: [], difference: 0};
    const hop = j => Math.sqrt(j * Math.max(0, 1 - (j - 1) / p.N));  // of Sx/√N, between j − 1 and j quanta in the mode x
    while (rows.length < 5) rows.push(rows[rows.length - 1].map((_, j, row) => (j && row[j - 1] * hop(j)) + (j < 4 && row[j + 1] * hop(j + 1))));
    for (const both of states) {  // τz, 1, and one to four quanta in x: by the whole set, by the inner one
      const off = k => Math.abs(both[k] - both[k + 1]), read = f => rows.map(row => row.reduce((sum, c, j) => sum + (j <= p.N && c * f(2 * j + 2)), 0));
      const [, m, m2, m3, m4] = read(k => both[k]), [, d, d2, d3, d4] = read(off), a = Math.abs(m);
      curves.tau_z.push(both[0]);
      curves.q.push(m / Math.sqrt(unit));
      curves.Q2.push((m2 - m * m) / unit);
      curves.Q4.push((m4 - 4 * m * m3 + 6 * m * m * m2 - 3 * m ** 4) / unit ** 2);
      curves.difference = Math.max(curves.difference, off(0), d / Math.sqrt(unit), (d2 + 2 * a * d) / unit,
        (d4 + 4 * a * d3 + 6 * a * a * d2 + 4 * (Math.abs(m3) + 3 * a * m2 + 3 * a ** 3) * d) / unit ** 2);
    }
    return curves;
  }

  // Larger and larger cuts until the estimated error meets the tolerance; it falls by exp(−slope) per unit of the cut.
  function evolve(given) {
    const p = {N: 80, g0: 4, central_field: [1, 0, 0.5], central_pump: 0.8, central_decay: 0.1, bath_pump: 0.2, bath_decay: 1,
      tolerance: 1e-8, times: Array.from({length: 161}, (_, i) => i / 40), ...given};
    let cut = Math.max(8, Math.round(8 + 7.5 * Math.sqrt(Math.abs(p.g0)) - 2 * Math.log10(p.tolerance / 1e-8))), slope = 1, before;
    for (;;) {
      const [list, inner] = occupations(p.N, cut), unknowns = 4 * list.length, complete = inner === list.length;
      const found = unknowns <= MOST && attempt(p, list, inner);
      if (!found) return {refused: true};
      if (before) slope = Math.max(0.05, Math.log(before[1] / found.difference) / (cut - before[0]));
      const error = complete ? 0 : found.difference * Math.max(1, 1 / Math.expm1(slope));
      if (error <= 0.9 * p.tolerance) return {...p, ...found, cut, unknowns, error: error + p.tolerance / 10};
      before = [cut, found.difference];
      cut += Math.min(Math.max(2, cut >> 3, Math.ceil(Math.log(error / (0.3 * p.tolerance)) / slope)), 4 + (cut >> 3));
    }
  }
  return {evolve};
}

(() => {
  const paper = {N: 80, g0: 4, wx: 1, wy: 0, wz: 0.5, central_pump: 0.8, central_decay: 0.1, bath_pump: 0.2, bath_decay: 1};
  const sizes = [6, 8, ...[1, 2, 3, 4, 5, 6].flatMap(d => [1, 2, 4, 8].map(m => m * 10 ** d)), 1e7, Infinity];
  const named = N => N === Infinity ? "∞" : N.toLocaleString("en"), minus = text => text.replace(/-/g, "−");
  const power = x => minus(x.toExponential(1).replace(/e(.*)/, " · 10<sup>$1</sup>"));
  const model = ({wx, wy, wz, ...rest}, more) => ({...rest, central_field: [wx, wy, wz], ...more});

  // A Worker, made of this file's own text, computes what was asked for last; where there is none the page does it.
  const cache = new Map(), json = JSON.stringify;
  let worker, busy, waiting;
  function ask(tasks, done) {
    const old = busy;
    waiting = old && (() => ask(tasks, done));
    if (old) return void setTimeout(() => {  // nobody wants the old one now
      if (busy !== old) return;
      worker?.terminate();
      worker = busy = null;
      waiting();
    }, 300);
    const keys = tasks.map(task => json(task)), missing = tasks.filter((_, i) => !cache.has(keys[i]));
    const answer = found => {
      busy = null;
      missing.forEach((task, i) => cache.set(json(task), found[i]));
      done(keys.map(key => cache.get(key)));
      if (cache.size > 200) cache.clear();
      waiting?.();
    };
    if (!missing.length) return answer([]);
    busy = missing;
    try {
      worker ??= new Worker(URL.createObjectURL(new Blob([`const method = (${centralspinMethod})(); onmessage = e => postMessage(e.data.map(method.evolve))`])));
      worker.onmessage = e => answer(e.data);
      worker.postMessage(missing);
    } catch { setTimeout(() => answer(missing.map(centralspinLive.evolve))); }
  }

  // What the page's own parameter cells say, so that a page that was run again starts from its values.
  function ofPage() {
    const found = {};
    for (const cell of document.querySelectorAll(".tag_parameters pre, .tag_injected-parameters pre"))
      for (const [, names, values] of cell.textContent.matchAll(/^([\w, ]+?) *= *([^#\n]+)/gm))
        try { JSON.parse(`[${values}]`).forEach((value, i) => { found[names.split(/, */)[i]] = value; }); } catch {}
    const {central_field: [wx, wy, wz] = [1, 0, 0.5], bath_sizes = [10]} = found, s = {...paper, ...found, wx, wy, wz, N: Math.max(...bath_sizes)};
    return Object.fromEntries(Object.keys(paper).map(name => [name, s[name]]));
  }

  function ticks(low, high, most) {
    const raw = (high - low) / most, unit = 10 ** Math.floor(Math.log10(raw)), step = unit * [1, 2, 5, 10].find(m => m * unit >= raw), found = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) found.push([i * step, minus(`${+(i * step).toPrecision(6)}`)]);
    return found;
  }

  const LEFT = 44, RIGHT = 8, TOP = 6, BOTTOM = 32;  // margins of a panel
  function plot(svg, times, lines, marked) {
    const W = svg.clientWidth, H = svg.clientHeight, floor = H - BOTTOM, last = times[160], all = lines.flatMap(line => line[1]);
    const low = Math.min(...all), high = Math.max(...all), pad = (high - low) / 20 || 1;
    const X = t => LEFT + (W - LEFT - RIGHT) * t / last, Y = y => floor - (floor - TOP) * (y - low + pad) / (high - low + 2 * pad);
    const label = (x, y, anchor, text) => `<text x="${x}" y="${y}" text-anchor="${anchor}">${text}</text>`, line = (kind, d) => `<path class="${kind}" d="M${d}"/>`;
    svg.innerHTML = line("axis", `${LEFT},${TOP}V${floor}H${W - RIGHT}`) + line("mark", `${X(times[marked])},${TOP}V${floor}`) +
      label((W + LEFT) / 2, H - 2, "middle", "time <tspan font-style='italic'>γt</tspan>") +
      ticks(0, last, W / 60).map(([t, text]) => line("axis", `${X(t)},${floor}v4`) + label(X(t), floor + 16, "middle", text)).join("") +
      ticks(low - pad, high + pad, H / 36).map(([y, text]) => line("axis", `${LEFT},${Y(y)}h-4`) + label(LEFT - 7, Y(y) + 4, "end", text)).join("") +
      lines.map(([kind, values]) => line(kind, values.map((y, i) => `${X(times[i]).toFixed(1)},${Y(y).toFixed(1)}`).join("L")) +
        `<circle class="${kind}" r="3" cx="${X(times[marked])}" cy="${Y(values[marked])}"/>`).join("");
  }

  // A box with `live.html` in it, directly before the figure that it stands for; the style sheet exchanges them.
  function mount(box) {
    const deviation = box.classList.contains("deviation");
    const s = ofPage(), one = selector => box.querySelector(selector), all = selector => [...box.querySelectorAll(selector)];
    const time = one(".live-read input");
    let results, marked = 160, later, latest;

    function show() {
      for (const input of all("[data-name]")) {
        const {name} = input.dataset, text = name === "N" ? named(s.N) : `${s[name]}`;
        if (input.type === "range") input.value = name === "N" ? sizes.findLastIndex(N => N <= s.N) : text, input.ariaValueText = text;
        else if (input !== document.activeElement) input.value = text;
      }
      const python = v => Number.isInteger(v) ? `${v}.0` : `${v}`, field = [s.wx, s.wy, s.wz];
      const changed = Object.keys(paper).filter(name => /0|_/.test(name) && s[name] !== paper[name]).map(name => `${name}=${python(s[name])}`);
      if (`${field}` !== "1,0,0.5") changed.push(`central_field=[${field.map(python)}]`);
      if (!deviation && s.N < Infinity && ![6, 10, 80].includes(s.N)) changed.push(`bath_sizes=[${s.N}]`);
      one("code").textContent = `make chapter NAME=${deviation ? "ten-million" : "figure-2"}${changed.length ? ` PARAMETERS='${changed.join(" ")}'` : ""}`;
    }

    function draw() {
      if (!results) return;
      const [run, limit, other] = results, {N, times} = run, X = s.bath_pump < s.bath_decay ? "Q" : "X";
      const rows = Object.entries({tau_z: "τ<sub>z</sub>", q: X.toLowerCase(), Q4: `${X}<sup>4</sup>`, Q2: `${X}<sup>2</sup>`}).map(([name, symbol]) => [name, `⟨<i>${symbol}</i>⟩`]);
      rows.forEach(([name, title], i) => {
        const gauss = !deviation && i === 3, svg = all("svg")[i], scaled = r => r[name].map((y, k) => r.N * (y - limit[name][k]));
        const lines = gauss ? [["b", run.Q2.map(y => 3 * y * y)], ["a", run.Q4]] : deviation ? [["limit", scaled(other)], ["a", scaled(run)]]
          : [["paper", (other ?? run)[name]], ["limit", limit[name]], ["a", run[name]]];
        svg.previousElementSibling.innerHTML = gauss ? `${rows[2][1]}, dotted 3${title}<sup>2</sup>` : deviation ? `<i>N</i> (${title} − ${title}<sub>∞</sub>)` : title;
        svg.ariaLabel = `${svg.parentElement.textContent} against time`;
        plot(svg, times, lines, marked);
      });
      one(".live-read span").textContent = times[marked].toFixed(3);
      time.ariaValueText = rows.map(([name]) => `${name} ${run[name][marked].toFixed(4)}`).join();
      all(".live-n").forEach(place => { place.textContent = `N = ${named(N)}`; });
      box.classList.toggle("live-moved", !deviation && !!other);
      one("tbody").innerHTML = rows.map(([name, title]) => {
        const [y, z] = [run, limit].map(r => r[name][marked]);
        return `<tr><th>${title}</th>${[y, z, N * (y - z)].map(x => `<td>${isFinite(x) ? minus(x.toFixed(8)) : "–"}</td>`).join("")}</tr>`;
      }).join("");
    }

    function update() {
      show();
      const {N} = s, boson = s.bath_pump < s.bath_decay;
      const mine = latest = {}, state = one(":invalid") || !(s.bath_pump + s.bath_decay) ? "invalid" : boson ? "" : "no-boson";
      box.dataset.state = state;
      if (state === "invalid") return;
      const tolerance = deviation ? 1e-11 : 1e-8, tasks = [{tolerance}, {N: Infinity, tolerance}].map(more => model(s, more));
      if (deviation) tasks.push(model(s, {N: 1e7, tolerance}));
      else if (boson && json(s) !== json({...paper, N})) tasks.push(model({...paper, N}, {tolerance}));
      box.classList.add("live-busy");
      ask(tasks, found => {
        box.classList.toggle("live-busy", !!waiting);
        clearTimeout(later);
        const refused = found.some(r => r.refused);
        if (mine === latest) box.dataset.state = refused ? "beyond" : state;
        if (refused) return;
        const [r] = results = found;
        draw();
        later = setTimeout(() => {
          one(".live-numbers").innerHTML = `N = ${named(N)}: cut ${r.cut}, ${named(r.unknowns)} unknowns, estimated error ${power(r.error)}, allowed ${power(tolerance)}.`;
        }, 200);
      });
    }

    box.addEventListener("input", ({target}) => {
      const {name} = target.dataset, value = target.value.replace(/,/g, "").trim();
      if (target === time) return marked = +value, draw();
      s[name] = target.type === "range" && name === "N" ? sizes[value] : +value.replace("∞", "Infinity");
      update();
    });
    box.addEventListener("pointermove", ({target, clientX}) => {
      const at = target.closest("svg")?.getBoundingClientRect();
      if (at) marked = time.value = Math.max(0, Math.min(160, Math.round(160 * (clientX - at.left - LEFT) / (at.width - LEFT - RIGHT)))), draw();
    });
    one(".live-reset").onclick = () => { Object.assign(s, paper, {N: s.N}); update(); };
    one(".live-switch").onclick = ({target}) => { target.ariaPressed = box.classList.toggle("as-executed"); };
    new ResizeObserver(draw).observe(one(".live-panels"));
    update();
  }
  window.centralspinLive = centralspinMethod();
  document.documentElement.classList.add("live-runs");
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".live").forEach(mount));
})();
