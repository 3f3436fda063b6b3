// Lets people see the passwords that they type. Without scripts there is no such button, and nothing is missing.
"use strict";

for (const form of document.forms) {
  const fields = [...form.querySelectorAll("input[type=password]")];
  if (fields.length) {
    fields.at(-1).after(switchOf(form, fields));
  }
}

function switchOf(form, fields) {
  const button = document.createElement("button");
  const words = fields.length > 1 ? "passwords" : "password";
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
