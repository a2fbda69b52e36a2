"""LTV-Lab for BtoB: from a company's own extracts to a monthly review of customer lifetime value."""

import os

__version__ = "0.1.0"

# scipy's L-BFGS-B works on matrices of a dozen numbers; OpenBLAS hands each of them to all cores, and waiting for them
# makes a fit 2 to 8 times slower. Read when scipy is loaded, so it stands before any module of the package.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
