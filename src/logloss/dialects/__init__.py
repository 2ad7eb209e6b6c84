"""The numbers of other frameworks, in NumPy and without the frameworks: their names, defaults, clips and denominators.

    >>> from logloss.dialects import keras, pytorch
    >>> import numpy as np
    >>> p, t = np.array([0.0], "float32"), np.array([1.0], "float32")
    >>> pytorch.binary_cross_entropy(p, t)                         # the logarithm is floored at -100
    np.float32(100.0)
    >>> keras.losses.BinaryCrossentropy()(t, p)                    # p is clipped to [1e-7, 1 - 1e-7]
    np.float32(16.118095)

`logloss` itself clips nothing; a dialect states what its framework does, in the framework's dtype, so that its number
can be had, checked and explained. `value_and_grad` gives the framework's gradient too.
"""

from ._parts import value_and_grad

__all__ = ["value_and_grad"]
