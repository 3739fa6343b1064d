"""`livius.testing` costs nothing where no test takes its fixtures."""

import pytest

pytest_plugins = ["pytester"]


def test_the_plugin_is_loaded_and_imports_nothing_else(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("livius")
            found = {name for name in sys.modules if name.partition(".")[0] == "livius"}
            assert found == {"livius", "livius.testing"}
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
