"use strict";
(function () {
  var form = document.querySelector(".filter");
  if (!form) { return; }
  var text = document.getElementById("q");
  var verdict = document.getElementById("v");
  var differ = document.getElementById("d");
  var found = document.getElementById("found");
  var items = Array.from(document.querySelectorAll("[data-v]"));
  var groups = Array.from(document.querySelectorAll("[data-group]"));
  var bad = ["v-fail", "v-harness-error", "v-blocked", "v-non-strict"];
  var texts = items.map(function (item) {
    var group = item.closest("[data-group]");
    var title = group ? group.querySelector("h3, .area") : null;
    var head = item.querySelector("th") || item;
    return ((title ? title.textContent : "") + " " + head.textContent).toLowerCase();
  });
  function has(item, wanted) {
    var own = item.dataset.v.split(" ");
    if (wanted === "") { return true; }
    if (wanted === "bad") { return bad.some(function (one) { return own.includes(one); }); }
    return own.includes(wanted);
  }
  function filter() {
    var words = text.value.toLowerCase().split(/\s+/);
    var shown = 0;
    items.forEach(function (item, index) {
      var fits = words.every(function (word) { return texts[index].includes(word); });
      fits = fits ? has(item, verdict.value) : false;
      if (fits ? (differ ? differ.checked : false) : false) { fits = item.dataset.d === "1"; }
      item.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    groups.forEach(function (group) {
      group.hidden = group.querySelector("[data-v]:not([hidden])") === null;
    });
    found.textContent = shown === items.length ? "" : shown + " of " + items.length + " shown";
  }
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  filter();

  function close() {
    var link = document.querySelector(".panel:has(:target) .close a, .panel:target .close a");
    if (link) { link.click(); }
    return link !== null;
  }
  function step(cell, key) {
    var row = cell.parentElement;
    var index = Array.from(row.children).indexOf(cell);
    if (key === "ArrowLeft") { return row.children[index - 1]; }
    if (key === "ArrowRight") { return row.children[index + 1]; }
    var rows = items.filter(function (one) { return !one.hidden; });
    var next = rows[rows.indexOf(row) + (key === "ArrowUp" ? -1 : 1)];
    return next ? next.children[index] : null;
  }
  document.addEventListener("keydown", function (event) {
    var at = event.target;
    if (event.key === "Escape") {
      if (close()) { return; }
      if (at === text) { text.value = ""; filter(); }
      return;
    }
    if (event.altKey || event.ctrlKey || event.metaKey) { return; }
    if (event.key === "/" ? !/^(INPUT|SELECT)$/.test(at.tagName) : false) {
      event.preventDefault();
      text.focus();
      return;
    }
    var cell = event.key.startsWith("Arrow") ? at.closest(".matrix td, .matrix tr[id] th") : null;
    var next = cell ? step(cell, event.key) : null;
    var link = next ? next.querySelector("a") : null;
    if (link) {
      event.preventDefault();
      link.focus();
    }
  });
})();
