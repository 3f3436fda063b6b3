// Conveniences of the pages. Without scripts, no function is missing.
"use strict";

// The menu closes on Escape, and when the focus or a click is outside it.
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

// A button shows the passwords that the user types.

for (const form of document.forms) {
  const fields = [...form.querySelectorAll("input[type=password]")];
  if (fields.length) {
    fields.at(-1).after(switchOf(form, fields));
  }
}

function switchOf(form, fields) {
  const button = document.createElement("button");
  const words = { ...document.body.dataset, ...fields[0].dataset };  // in the language of the reader
  const several = fields.length > 1;
  const show = (shown) => {
    fields.forEach((field) => { field.type = shown ? "text" : "password"; });
    button.textContent = shown ? words[several ? "hideSeveral" : "hide"] : words[several ? "showSeveral" : "show"];
  };
  button.type = "button";
  button.className = "usa-button usa-button--unstyled m-show";
  button.addEventListener("click", () => show(fields[0].type === "password"));
  form.addEventListener("submit", () => show(false));
  show(false);
  return button;
}

// A file can be dropped on the file field.
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

// htmx replaces parts of a page, but only those that are listed here. <body hx-disable> makes htmx ignore every attribute,
// so that no content of a page can send a request. Each request goes to the page's own address, with a new query.
const byId = (id) => document.getElementById(id);
const isHere = (link) => link.origin === location.origin && link.pathname === location.pathname;

function replace(part, query, { source = part, values = {}, swap = "outerHTML" } = {}) {
  ask("GET", location.pathname + query, { target: part, source, values, swap, push: "true" });
}

function ask(method, address, how) {
  htmx.ajax(method, address, how).catch(() => {});  // the page stays as it is
}

// All Users keeps the ticked users when it is searched, sorted, or paged.
function ticks(part) {
  const found = new FormData();
  for (const box of part.querySelectorAll("#selection .m-choices:checked")) {
    found.append(box.name, box.value);
  }
  const shown = part.querySelector("#selection #shown");
  if (shown) {
    found.set("shown", shown.value);
  }
  return found;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("#plan a[data-turn], #found a[data-turn]");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (link && isPlain && isHere(link)) {
    event.preventDefault();
    const part = link.closest("#plan, #found");
    const swap = link.dataset.turn === "top" ? "outerHTML show:top" : "outerHTML";
    replace(part, link.search, { source: link, values: ticks(part), swap });
  }
});

// A search is sent when its form is submitted, and soon after one of its fields has changed.
const waiting = new WeakMap();

function soon(element, delay, act) {
  clearTimeout(waiting.get(element));
  waiting.set(element, setTimeout(act, delay));
}

function search(form) {
  clearTimeout(waiting.get(form));
  const part = form.id === "search" ? byId("found") : form.closest("#plan");
  if (part) {
    const values = ticks(part);
    new FormData(form).forEach((value, name) => values.append(name, value));
    replace(part, "", { source: form, values });
  }
}

const FORMS = "form#search, #plan form.m-find";

document.addEventListener("submit", (event) => {
  if (event.target.matches(FORMS)) {
    event.preventDefault();
    search(event.target);
  } else if (event.target.matches("#check form#go-on")) {
    event.preventDefault();
    goOn();
  }
});
document.addEventListener("input", (event) => {
  const { target } = event;
  if (target.type === "search" && target.form?.matches(FORMS)) {
    soon(target.form, 300, () => search(target.form));
  } else if (target.dataset.suggest) {
    soon(target, 250, () => suggest(target));
  }
});
document.addEventListener("change", (event) => {
  if (event.target.matches("form#search select")) {
    soon(event.target.form, 50, () => search(event.target.form));
  }
});

// The supervisor field suggests supervisors while the user types.
function suggest(field) {
  const values = { [field.name]: field.value };
  ask("GET", field.dataset.suggest, { target: "#supervisors", source: field, values, swap: "innerHTML" });
}

// The progress of an import is requested each second. A check of the audit trail continues until it is done.
if (byId("progress")) {
  setInterval(() => {
    if (byId("progress")) {
      ask("GET", `${location.pathname}?progress`, { target: "#progress", source: "#progress", swap: "outerHTML" });
    }
  }, 1000);
}

function goOn() {
  ask("POST", location.pathname, { target: "#check", source: "#go-on", swap: "outerHTML" });
}

document.addEventListener("htmx:load", () => {
  if (document.querySelector("#check form#go-on")) {
    goOn();
  }
});

// The browser's time zone is a cookie, for times on the next pages. The server uses it only if it knows the zone.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.split("; ").includes(`muster_zone=${zone}`)) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `muster_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

// Shortcuts of one key, unless the user has turned them off: then the page has no list of them. They do nothing in fields.
const shortcuts = byId("shortcuts-list");
if (shortcuts) {
  let before = "";
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    const types = target.closest("input, select, textarea, [contenteditable], dialog[open]");
    if (types || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) {
      before = "";
      return;
    }
    const search = document.querySelector("main input[type=search]");
    if (key === "?") {
      shortcuts.showModal();
    } else if (key === "/" && search) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (before === "g" && Object.hasOwn(shortcuts.dataset, key)) {
      location.assign(shortcuts.dataset[key]);
    }
    before = key;
  });
}
