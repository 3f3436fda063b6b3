// Shows the buttons that print a page; without scripts they would do nothing, and are not there.
"use strict";

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
