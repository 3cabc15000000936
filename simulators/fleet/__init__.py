"""`counter-simulator fleet`: a centre of many counters of ten families and its tills, at their real rates.

`makes` and `plan` say what hangs where, `configuration` writes what the gateway reads; `speaking`, `live`,
`polled` and `selling` are the devices with their troubles; `expected` is what head office must have of them
by the rules; `play` lets it all happen.
"""
