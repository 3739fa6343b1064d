"""The portal: the pages for people, at ``/portal``.

Pages are thin: they call the same use cases as the API. A page is a module of `livius.portal.pages`
with its templates; `livius.portal.pages_base` gives it the frame, the caller, the language and the
protection that all pages have.
"""

from livius.portal.app import NAVIGATION, create_portal
from livius.portal.pages_base import ROOT, Facts, OwnApplication, Portal

__all__ = [
    "NAVIGATION",
    "ROOT",
    "Facts",
    "OwnApplication",
    "Portal",
    "create_portal",
]
