"use strict";
(() => {
  const STEP = 24;
  const form = document.getElementById("filters");
  if (!form) return;
  const more = document.getElementById("more");
  const said = document.getElementById("shown");
  const fold = (text) => text.normalize("NFKC").toLowerCase();
  const list = (text) => (text ? text.split(" ") : []);
  const cards = Array.from(document.querySelectorAll("#cards > .card"), (element) => ({
    element,
    text: fold(element.querySelector(".body").textContent),
    tokens: Array.from(element.querySelectorAll(".token"), (chip) => fold(chip.textContent)),
    words: list(element.dataset.words).map(Number),
    why: (element.dataset.why || "").split(","),
    reasons: list(element.dataset.reasons),
  }));
  const known = new Set(cards.flatMap((card) => card.tokens));
  let limit = STEP;

  const asked = () => {
    const value = (name) => (form.elements[name] ? form.elements[name].value : "");
    const bound = (name, otherwise) => (value(name) === "" ? otherwise : Number(value(name)));
    return {
      text: fold(value("text").trim()),
      token: fold(value("token").trim()),
      why: value("why"),
      reason: value("reason"),
      least: bound("least", 0),
      most: bound("most", Infinity),
    };
  };

  const matches = (card, want) =>
    card.text.includes(want.text) &&
    (!want.why || card.why.includes(want.why)) &&
    (!want.reason || card.reasons.includes(want.reason)) &&
    (!want.token || card.tokens.some((token) => (known.has(want.token) ? token === want.token : token.includes(want.token)))) &&
    ((want.least === 0 && want.most === Infinity) || card.words.some((n) => n >= want.least && n <= want.most));

  const show = () => {
    const want = asked();
    let found = 0;
    for (const card of cards) {
      const fits = matches(card, want);
      found += fits;
      card.element.hidden = !fits || found > limit;
    }
    const visible = Math.min(found, limit);
    const all = found === cards.length ? "" : ` that match, of ${cards.length} in all`;
    said.textContent = found === 0 ? "Nothing matches. Reset the filters to see all." : `Showing ${visible} of ${found}${all}.`;
    more.hidden = found <= limit;
    for (const chip of document.querySelectorAll("button.token")) {
      chip.setAttribute("aria-pressed", String(want.token !== "" && fold(chip.textContent) === want.token));
    }
  };

  const restart = () => { limit = STEP; show(); };
  form.addEventListener("input", restart);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(restart));
  more.querySelector("button").addEventListener("click", () => { limit += STEP; show(); });
  document.getElementById("cards").addEventListener("click", (event) => {
    const chip = event.target.closest("button.token");
    if (!chip) return;
    const pressed = chip.getAttribute("aria-pressed") === "true";
    form.elements.token.value = pressed ? "" : chip.textContent;
    restart();
  });
  form.hidden = false;
  show();
})();
