"""skops.io, imported without torch.

At its import skops walks through all of scikit-learn, which has a bridge to torch: two seconds in every process, of
which nothing is used.
"""

import sys

BRIDGE = "sklearn.externals.array_api_compat.torch"

_blocked = BRIDGE not in sys.modules
if _blocked:
    sys.modules[BRIDGE] = None  # type: ignore[assignment]
try:
    import skops.io as io
finally:
    if _blocked:
        del sys.modules[BRIDGE]

dump, load, get_untrusted_types = io.dump, io.load, io.get_untrusted_types
