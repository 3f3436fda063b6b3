// What makes pages more convenient; without scripts nothing is missing.
"use strict";

// The menu closes by Escape, and when the reader goes elsewhere.
for (const menu of document.querySelectorAll(".m-admin")) {
  const close = () => { menu.open = false; };
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      close();
      menu.querySelector("summary").focus();
    }
  });
  menu.addEventListener("focusout", (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) { close(); } });
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) { close(); } });
}

// People can see the passwords that they type.

for (const form of document.forms) {
  const fields = [...form.querySelectorAll("input[type=password]")];
  if (fields.length) {
    fields.at(-1).after(switchOf(form, fields));
  }
}

function switchOf(form, fields) {
  const button = document.createElement("button");
  const words = fields[0].dataset.called ?? (fields.length > 1 ? "passwords" : "password");
  const show = (shown) => {
    fields.forEach((field) => { field.type = shown ? "text" : "password"; });
    button.textContent = `${shown ? "Hide" : "Show"} ${words}`;
  };
  button.type = "button";
  button.className = "usa-button usa-button--unstyled m-show";
  button.addEventListener("click", () => show(fields[0].type === "password"));
  form.addEventListener("submit", () => show(false));
  show(false);
  return button;
}

// A file can be dropped where it is chosen.
for (const place of document.querySelectorAll(".m-drop")) {
  const file = place.querySelector("input[type=file]");
  const over = (is) => place.classList.toggle("m-drop--over", is);
  place.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  place.addEventListener("dragleave", () => over(false));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer.files.length) {
      file.files = event.dataTransfer.files;
    }
  });
}

// Cells that were mended and not checked yet are not lost unasked.
document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (form && form.id === "mend" && !form.dataset.mended) {
    form.dataset.mended = "yes";
    const ask = (leaving) => { if (form.isConnected) { leaving.preventDefault(); } };
    window.addEventListener("beforeunload", ask);
    form.addEventListener("submit", () => window.removeEventListener("beforeunload", ask));
  }
});
