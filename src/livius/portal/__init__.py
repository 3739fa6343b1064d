"""The portal: what people see of Livius, at ``/portal``.

Pages are thin: all that they show and do goes through the same use cases as the API. A page is a
module of `livius.portal.pages` with its templates; `livius.portal.desk` gives it the frame, the
caller, the language and the protection that all pages have.
"""

from livius.portal.app import NAVIGATION, create_portal
from livius.portal.desk import ROOT, Desk, Facts, OwnApplication
from livius.portal.live import Streams

__all__ = [
    "NAVIGATION",
    "ROOT",
    "Desk",
    "Facts",
    "OwnApplication",
    "Streams",
    "create_portal",
]
