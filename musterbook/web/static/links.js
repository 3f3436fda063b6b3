// The link that is given to a user: a click selects it, and a button copies it. Without scripts it is a field to select.
"use strict";

for (const field of document.querySelectorAll("[data-select]")) {
  field.addEventListener("focus", () => field.select());
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const status = document.getElementById(`${field.id}_copied`);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      document.execCommand("copy");  // a browser offers its clipboard only to pages with https
    }
    button.focus();
    status.textContent = button.dataset.copied;
  });
}
