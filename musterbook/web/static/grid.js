// The rows of a plan that have problems: each cell is saved as it is typed, and the keyboard goes from wrong cell to wrong cell.
// Without scripts, the form saves all cells with its buttons.
"use strict";

(() => {
  const PAUSE = 500;
  const AGAIN = 3000;
  const PATIENCE = 5000;
  const dirty = new Map();  // control → the timer that saves it
  const saving = new Map();  // control → the promise of its request
  const abouts = new WeakMap();  // the description of a cell as the plan has it
  let goOn = false;

  const form = () => document.getElementById("fix");
  const bar = () => document.getElementById("fixes");
  const isCell = (element) => element?.name?.startsWith("cell-") && element.form?.id === "fix" && element.type !== "submit";
  const wasOf = (control) => control.form.elements[control.name.replace("cell-", "was-")];
  const aboutOf = (control) => document.getElementById(control.name.replace("cell-", "about-"));
  const wrongCells = () => [...document.querySelectorAll(".m-sheet__edit--wrong .usa-input, .m-sheet__edit--wrong .usa-select")];

  document.documentElement.classList.add("m-scripts");

  // The bar

  function show({ count, status, can_undo: canUndo, error, moved }) {
    const place = bar();
    if (!place || count === undefined) { return; }
    place.dataset.count = count;
    place.querySelector("[role=status]").textContent = status;
    place.querySelector("[data-undo-fix]").hidden = !canUndo;
    warn(error ?? "", moved);
    fit();
  }

  function warn(text, address = "", isForm = false) {
    const place = bar()?.querySelector(".m-bar__wrong");
    if (!place || (place.textContent === text && !address && !isForm)) { return; }
    place.textContent = text;
    place.hidden = !text;
    bar().classList.toggle("m-bar--wrong", Boolean(text));
    if (address) {
      const link = document.createElement("a");
      link.href = address;
      link.textContent = form().dataset.open;
      place.append(" ", link);
    } else if (isForm) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "usa-button usa-button--unstyled";
      button.textContent = form().dataset.signIn;
      button.addEventListener("click", sendAll);
      place.append(" ", button);
    }
    fit();
  }

  // The bar never hides what has the focus: the browser scrolls the focused element above it.
  function fit() {
    const place = bar();
    const isSticky = place && getComputedStyle(place).position === "sticky";
    document.documentElement.style.scrollPaddingBottom = isSticky ? `${place.offsetHeight + 16}px` : "";
  }

  // A form that is sent as a page keeps what was typed, and lets the user sign in first.
  function sendAll() {
    dirty.clear();
    saving.clear();
    const sent = form();
    sent.action = sent.dataset.save;
    sent.submit();
  }

  // Saving

  function plan(control, delay) {
    clearTimeout(dirty.get(control));
    dirty.set(control, setTimeout(() => save(control), delay));
  }

  function save(control, { leaving = false } = {}) {
    clearTimeout(dirty.get(control));
    dirty.delete(control);
    const was = wasOf(control);
    if (!control.isConnected || control.value === was.value) { return; }
    if (saving.has(control) && !leaving) {
      saving.get(control).then(() => save(control));
      return;
    }
    const text = control.value;
    const body = { [control.name]: text, [was.name]: was.value };
    const request = post(control.form.dataset.save, body, leaving).then((answer) => take(control, text, answer));
    saving.set(control, request.finally(() => saving.delete(control)));
  }

  async function post(address, values, keepalive = false) {
    const body = new FormData();
    body.append("csrfmiddlewaretoken", form().elements.csrfmiddlewaretoken.value);
    Object.entries(values).forEach(([name, value]) => body.append(name, value));
    try {
      const response = await fetch(address, { method: "POST", body, keepalive, headers: { Accept: "application/json" } });
      if (!response.redirected && response.headers.get("Content-Type")?.startsWith("application/json")) {
        return { ...await response.json(), ok: response.ok };
      }
      return { isSignedOut: response.status < 500 && response.status !== 429, isLost: true };
    } catch {
      return { isLost: true };
    }
  }

  function take(control, text, answer) {
    if (!form()) { return; }
    if (answer.isSignedOut) {
      warn(form().dataset.signedOut, "", true);
    } else if (answer.isLost) {
      warn(form().dataset.unsaved);
      plan(control, AGAIN);
    } else {
      show(answer);
      const conflict = (answer.conflicts ?? []).find(({ row, heading }) => control.name === `cell-${row}-${heading}`);
      if (conflict) {
        ask(control, conflict);
      } else if (answer.ok) {
        wasOf(control).value = text;
        mark(control);
        if (control.value !== text) { plan(control, 0); }
      }
    }
  }

  // A cell looks fixed as soon as its text differs from that of the plan.
  function mark(control) {
    const about = aboutOf(control);
    const cell = control.closest(".m-sheet__edit");
    const { planned } = about.dataset;
    const isFixed = control.value !== planned;
    if (!abouts.has(about)) { abouts.set(about, cell.classList.contains("m-sheet__edit--fixed") ? null : [...about.childNodes]); }
    const { fixed, was, wasBlank } = control.form.dataset;
    const first = abouts.get(about);
    about.replaceChildren(...(isFixed || !first ? [paragraph(isFixed ? `${fixed} ${planned ? was.replace("…", planned) : wasBlank}` : "")] : first));
    cell.classList.toggle("m-sheet__edit--fixed", isFixed);
    cell.classList.toggle("m-sheet__edit--wrong", !isFixed && Boolean(first?.length));
    cell.querySelectorAll("[data-use]").forEach((button) => { button.hidden = isFixed; });
    control.toggleAttribute("aria-invalid", false);
    if (!isFixed && first?.length) { control.setAttribute("aria-invalid", "true"); }
  }

  function paragraph(text) {
    const made = document.createElement("p");
    made.className = "m-fixed";
    made.textContent = text;
    return made;
  }

  // Another user has changed the cell: the user says whose text it has.
  function ask(control, { message, text }) {
    const about = aboutOf(control);
    const { mine, theirs } = control.form.dataset;
    const choose = (label, act) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "m-use";
      button.textContent = label;
      button.addEventListener("click", () => {
        wasOf(control).value = text;
        act();
        mark(control);
        control.focus();
      });
      return button;
    };
    const said = paragraph(message);
    said.className = "m-why";
    said.setAttribute("role", "alert");
    about.replaceChildren(said, choose(mine, () => save(control)), choose(theirs, () => put(control, text)));
  }

  function put(control, text) {
    if (control.tagName === "SELECT" && ![...control.options].some((option) => option.value === text)) {
      control.add(new Option(text, text));
    }
    control.value = text;
  }

  const isBusy = () => dirty.size > 0 || saving.size > 0;

  // All cells are saved before anything else happens, or a few seconds have passed.
  function settle() {
    [...dirty.keys()].forEach((control) => save(control));
    const rest = Promise.all([...saving.values()]).then(() => (dirty.size ? settle() : undefined));
    return Promise.race([rest, new Promise((done) => { setTimeout(done, PATIENCE); })]);
  }

  document.addEventListener("input", ({ target }) => { if (isCell(target)) { plan(target, PAUSE); } });
  document.addEventListener("change", ({ target }) => { if (isCell(target)) { save(target); } });
  document.addEventListener("submit", (event) => {
    if (!event.defaultPrevented && isBusy()) {
      event.preventDefault();
      settle().then(() => { dirty.clear(); saving.clear(); event.target.requestSubmit(event.submitter); });
    }
  }, true);
  document.addEventListener("htmx:confirm", (event) => {
    if (isBusy()) {
      event.preventDefault();
      settle().then(() => event.detail.issueRequest(true));
    }
  });
  window.addEventListener("pagehide", () => { [...dirty.keys()].forEach((control) => save(control, { leaving: true })); });
  window.addEventListener("beforeunload", (event) => {
    [...dirty.keys()].forEach((control) => save(control, { leaving: true }));
    if (bar()?.classList.contains("m-bar--wrong") && isBusy()) { event.preventDefault(); }
  });

  // Buttons: the nearest value, and undo

  document.addEventListener("click", (event) => {
    const use = event.target.closest("#fix [data-use]");
    if (use) {
      event.preventDefault();
      const control = document.getElementById(use.name);
      put(control, use.value);
      save(control);
      control.focus();
    } else if (event.target.closest("#fix [data-undo-fix]")) {
      event.preventDefault();
      settle().then(undo);
    }
  });

  async function undo() {
    const answer = await post(form().dataset.undo, {});
    if (answer.isSignedOut) { warn(form().dataset.signedOut, "", true); return; }
    show(answer);
    const control = answer.cell && document.getElementById(`cell-${answer.cell.row}-${answer.cell.heading}`);
    if (control) {
      put(control, answer.cell.text);
      wasOf(control).value = answer.cell.text;
      mark(control);
      control.focus();
    }
    if (answer.message) { bar().querySelector("[role=status]").textContent = `${answer.message} ${answer.status}`; }
  }

  // The keyboard: Enter goes to the next wrong cell, Shift+Enter to the one before, Ctrl+Enter checks all fixes.

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !isCell(event.target) || event.isComposing || event.altKey) { return; }
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      form().requestSubmit();
      return;
    }
    if (dirty.has(event.target)) { save(event.target); }
    go(event.target, event.shiftKey ? -1 : 1);
  });

  function go(from, step) {
    const after = Node.DOCUMENT_POSITION_FOLLOWING;
    const rest = wrongCells().filter((one) => one !== from && Boolean(from.compareDocumentPosition(one) & after) === step > 0);
    const next = step > 0 ? rest[0] : rest.at(-1);
    const page = document.getElementById(step > 0 ? "after" : "before");
    if (next) {
      next.focus();
      if (next.select) { next.select(); }
    } else if (page) {
      goOn = step;
      page.click();
    } else if (step > 0) {
      bar()?.querySelector("button")?.focus();
    }
  }

  document.addEventListener("htmx:load", () => {
    fit();
    if (goOn && form()) {
      const cells = wrongCells();
      (goOn > 0 ? cells[0] : cells.at(-1))?.focus();
      goOn = false;
    }
  });

  // The whole cell with its problem is shown, not only its control.
  document.addEventListener("focusin", ({ target }) => {
    if (isCell(target) || target.closest?.("#fix .m-sheet__edit")) {
      target.closest(".m-sheet__edit").scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  });
  window.addEventListener("resize", fit);
  fit();
})();
