"use strict";

// Tables that sort by the column whose head is clicked; what is not known stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const more = document.getElementById(table.dataset.more);
  const numShown = Number(table.dataset.shown);
  let isWhole = false;

  const show = () => {
    [...body.rows].forEach((row, index) => { row.hidden = !isWhole && index >= numShown; });
  };
  const key = (row, column, isNumber) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return isNumber && text !== "" ? Number(text) : text;
  };
  const sort = (column, sign) => {
    const isNumber = "number" in heads[column].dataset;
    const compare = (a, b) => {
      const [left, right] = [key(a, column, isNumber), key(b, column, isNumber)];
      if (left === "" || right === "") return (left === "") - (right === "");
      return sign * (isNumber ? left - right : left.localeCompare(right, "en", { numeric: true }));
    };
    body.append(...[...body.rows].sort(compare));
  };
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const isUp = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
      sort(column, isUp ? 1 : -1);
      show();
    });
  });
  if (more) {
    const few = `Show the first ${numShown} only`;
    const all = more.textContent;
    more.hidden = false;
    more.addEventListener("click", () => {
      isWhole = !isWhole;
      more.textContent = isWhole ? few : all;
      more.setAttribute("aria-expanded", String(isWhole));
      show();
    });
  }
  show();
}

// A plot whose points say what they are, to the pointer, the finger and the keyboard.
for (const plot of document.querySelectorAll("svg.scatter")) {
  const points = [...plot.querySelectorAll(".point")];
  const told = document.getElementById(plot.dataset.told);
  const REACH = 24; // pixels of the screen
  let current = null;

  const tell = (point) => {
    if (point === current) return;
    points.forEach((each) => {
      each.classList.toggle("told-of", each === point);
      each.setAttribute("tabindex", each === point ? "0" : "-1");
    });
    const name = document.createElement("strong");
    name.textContent = point.dataset.name;
    told.replaceChildren(name, `: ${point.dataset.says}.`);
    current = point;
  };
  const nearest = (event) => {
    let [found, least] = [null, REACH];
    for (const point of points) {
      const box = point.querySelector(".mark").getBoundingClientRect();
      const away = Math.hypot(
        event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2);
      if (away < least) [found, least] = [point, away];
    }
    return found;
  };
  plot.addEventListener("pointermove", (event) => {
    const point = nearest(event);
    if (point) tell(point);
  });
  plot.addEventListener("click", (event) => {
    const point = nearest(event);
    if (point) {
      tell(point);
      point.focus();
    }
  });
  points.forEach((point, index) => {
    point.addEventListener("focus", () => tell(point));
    point.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      points[(index + step + points.length) % points.length].focus();
    });
  });
}

// Paper cannot be clicked: what is folded is opened for it.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((each) => { each.open = true; });
});
addEventListener("afterprint", () => { opened.forEach((each) => { each.open = false; }); });
