(() => {
  "use strict";
  const number = text => {
    text = text.replace(/[,\s%±]/g, "").replace("−", "-").replace("∞", "Infinity").replace(/^inf$/, "Infinity").replace(/^-inf$/, "-Infinity");
    return text === "" || isNaN(text) ? null : +text;
  };

  for (const table of document.querySelectorAll("table.sort")) {
    const body = table.tBodies[0], rows = [...body.rows];
    table.tHead.addEventListener("click", event => {
      const button = event.target.closest("button");
      if (!button) return;
      const head = button.parentNode, place = head.cellIndex, was = head.getAttribute("aria-sort");
      const up = was === "descending" || (was === null && place === 0);
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const sign = up ? 1 : -1;
      const keys = rows.map(row => {
        const cell = row.cells[place], text = cell.dataset.v ?? cell.textContent;
        return { value: number(text), text, row };
      });
      const byText = keys.every(key => key.value === null || place === 0) && keys.some(key => key.value === null);
      keys.sort((a, b) => byText || (a.value === null && b.value === null)
        ? sign * a.text.localeCompare(b.text, undefined, { numeric: true })
        : a.value === null || b.value === null ? (a.value === null) - (b.value === null) : sign * (a.value - b.value));
      body.append(...keys.map(key => key.row));
    });
    const filter = document.getElementById(table.id + "-filter"), count = document.getElementById(table.id + "-count");
    if (!filter) continue;
    filter.closest(".bar").hidden = false;
    filter.addEventListener("input", () => {
      const wanted = filter.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
        shown += !row.hidden;
      }
      count.textContent = shown.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " rows";
    });
  }

  const choices = [...document.querySelectorAll(".choose select")];
  const choose = wanted => {
    for (const choice of choices) choice.value = [...choice.options].some(one => one.value === wanted) ? wanted : "";
    for (const part of document.querySelectorAll("[data-of]")) {
      const own = part.parentNode.querySelector("select").value;
      part.classList.toggle("other", own !== "" && part.dataset.of !== own);
      part.classList.toggle("only", own !== "");
    }
  };
  for (const choice of choices) {
    choice.closest(".bar").hidden = false;
    choice.addEventListener("change", () => choose(choice.value));
  }
  if (choices.length) choose(choices[0].options[0].value);

  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const show = event => {
    const mark = event.target.closest && event.target.closest("[data-tip]");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const width = Math.min(250, innerWidth - 16);
    tip.style.left = Math.max(8, Math.min(event.clientX + 12, innerWidth - width - 8)) + "px";
    tip.style.top = (event.clientY > 90 ? event.clientY - tip.offsetHeight - 10 : event.clientY + 16) + "px";
  };
  const hide = () => { tip.hidden = true; };
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);
  addEventListener("scroll", hide, { passive: true });
  addEventListener("beforeprint", hide);
  addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
})();
