// A browser that only prepares the page must not use the link.
"use strict";

const use = () => document.getElementById("link").submit();
if (document.prerendering) document.addEventListener("prerenderingchange", use, { once: true });
else use();
