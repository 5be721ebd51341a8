"""Would the tests notice? `make mutants` plants small faults in the library, one at a time, and runs what can see them.

`faults` says where and how a line may be wrong, `sight` which tests run a function and how long they take (a plugin of
pytest), `campaign` plants and judges, `equivalent.yml` lists the faults that change nothing, each with its reason.
"""
