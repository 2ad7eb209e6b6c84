"""Constants of the approximations, shared by the kernels of every device: minimax polynomials, lowest power first.

e^r = 1 + r + r²·P(r) on |r| <= ln(2)/2; in float32 log1p(z) = z + z·Q(z - 1/2) on [0, 1], and log(1+w) = w + w²·S(w)
for a mantissa 1 + w within sqrt(2) of 1; in float64 log((1+s)/(1-s)) = 2s + s³·R(s²), for s up to 1/3 (z = 1) and up to
0.1716 (such a mantissa). ln 2 is split into a part of few bits, so that whole multiples of it are exact, and the rest.
"""

from __future__ import annotations


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float.fromhex(one) for one in text.split())


EXPM1_32 = _floats("0x1.fffffcp-2 0x1.555492p-3 0x1.5558aap-5 0x1.12396ep-7 0x1.6a524ep-10")
LOG1P_32 = _floats(
    "-0x1.833704p-3 -0x1.2773a6p-2 0x1.0f952ep-3 -0x1.15401cp-4 0x1.2c273ep-5 -0x1.50f0bcp-6 0x1.7a7f0ep-7 "
    "-0x1.bc078ep-8 0x1.5b6744p-8 -0x1.a38500p-9"
)
LOG_NEAR_ONE_32 = _floats(
    "-0x1p-1 0x1.555548p-2 -0x1.000006p-2 0x1.99a476p-3 -0x1.555c44p-3 0x1.233ba2p-3 -0x1.fc28cap-4 0x1.e6c00ep-4 "
    "-0x1.de01eep-4 0x1.147352p-4"
)
EXPM1_64 = _floats(
    "0x1.000000000000ap-1 0x1.55555555554fap-3 0x1.5555555550879p-5 0x1.1111111127cdep-7 "
    "0x1.6c16c1842e303p-10 0x1.a01a012a0c731p-13 0x1.a01999fac4ecfp-16 0x1.71df25d82fd18p-19 "
    "0x1.28ad87ae83c7cp-22 0x1.ad7edf55575d2p-26"
)
LOG_RATIO_64 = _floats(
    "0x1.5555555555536p-1 0x1.99999999a050fp-2 0x1.249249209c259p-2 0x1.c71c74156356fp-3 0x1.745cb4ea6dd28p-3 "
    "0x1.3b1dc8ce87e46p-3 0x1.1068b15f4f97dp-3 0x1.efca184ffa348p-4 0x1.55edb7a18268ap-4 0x1.5c41b803e25d9p-3"
)
LOG_RATIO_NEAR_ONE_64 = _floats(
    "0x1.5555555555591p-1 0x1.99999999801ccp-2 0x1.24924941be891p-2 0x1.c71c522e9843dp-3 0x1.746637da7eb17p-3 "
    "0x1.39a2651658fd5p-3 0x1.2eff0d511983fp-3"
)

LOG2_E = float.fromhex("0x1.71547652b82fep0")
LN2_HIGH_32, LN2_LOW_32 = float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cp-20")
LN2_HIGH_64, LN2_LOW_64 = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
