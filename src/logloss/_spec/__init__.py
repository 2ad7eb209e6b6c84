"""What a caller may ask for, and the coefficients that it compiles to; no array library is named here.

`options` describes what every loss takes, `losses` has one row for each loss, `terms` compiles both to coefficients,
and `reductions` says what a sum is divided by.
"""
