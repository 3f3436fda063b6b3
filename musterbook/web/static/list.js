// Conveniences of All Users: the number of selected users, and one box that selects all on the page.
"use strict";

const boxes = () => [...document.querySelectorAll("#selection .m-choices:not(:disabled)")];

function show() {
  const all = boxes();
  const ticked = all.filter((box) => box.checked).length;
  const whole = document.getElementById("select-page");
  if (whole) {
    whole.closest("label").hidden = false;
    whole.checked = ticked > 0 && ticked === all.length;
    whole.indeterminate = ticked > 0 && ticked < all.length;
  }
  const count = document.getElementById("selected");
  if (count) {
    const { elsewhere, one, many, other } = count.dataset;
    const total = ticked + Number(elsewhere);
    const about = total === 1 ? one : many.replace("{n}", total.toLocaleString());
    const rest = Number(elsewhere) ? ` ${other.replace("{n}", Number(elsewhere).toLocaleString())}` : "";
    if (count.textContent !== about + rest) {
      count.textContent = about + rest;
    }
    count.closest(".m-selected").classList.toggle("m-selected--on", total > 0);
  }
}

document.addEventListener("change", ({ target }) => {
  if (target.id === "select-page") {
    for (const box of boxes()) {
      box.checked = target.checked;
    }
    show();
  } else if (target.matches("#selection .m-choices")) {
    show();
  } else if (target.matches("select[form=search]")) {
    target.form.requestSubmit();
  }
});
document.addEventListener("htmx:load", show);
window.addEventListener("pageshow", show);
show();
