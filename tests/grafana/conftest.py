"""Import the boards before warnings count as errors.

grafana-foundation-sdk 0.0.21 announces on import that its classic dashboards are deprecated in favour of the second
schema; the classic one is what every Grafana that is in use loads from a file.
"""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    import grafana.build  # noqa: F401 - imported for the warning alone
