"""What no test may depend on: how fast this machine is just now, and, where a check has to be repeatable, on luck."""

import os

from hypothesis import HealthCheck, settings

# What is held to a time is held to it by a test that says so. An example that a busy machine made late is no finding.
settings.register_profile("tasktap", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("check", settings.get_profile("tasktap"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tasktap"))
