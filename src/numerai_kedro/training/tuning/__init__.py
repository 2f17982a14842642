"""Choose a family's parameters on the validation period: one study definition for every family.

    space ─► study (ask, fold by fold, prune or finish) ─► objective ─► adoption

`tune` in `decide` does all of it; it knows families by the protocol only.
"""
