// Names the gene that is pointed at; opens what is folded before the page is printed.
"use strict";
for (const box of document.querySelectorAll(".genes")) {
  const genes = JSON.parse(box.querySelector("script").textContent);
  const svg = box.querySelector("svg");
  const said = box.querySelector(".said");
  const [left, top, width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const ring = document.createElementNS(svg.namespaceURI, "circle");
  ring.setAttribute("r", "5");
  ring.setAttribute("class", "ring");
  const words = (value) => (value === 1 ? "high" : value === 0 ? "low" : "unknown");
  const point = (event) => {
    const frame = svg.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * width;
    const y = ((event.clientY - frame.top) / frame.height) * height;
    let nearest = -1;
    let least = 15 * 15;
    for (let i = 0; i < genes.id.length; i++) {
      const far = ((genes.x[i] * width) / 1e4 - x) ** 2 + ((genes.y[i] * height) / 1e4 - y) ** 2;
      if (far < least) {
        least = far;
        nearest = i;
      }
    }
    if (nearest < 0) return;
    ring.setAttribute("cx", left + (genes.x[nearest] * width) / 1e4);
    ring.setAttribute("cy", top + (genes.y[nearest] * height) / 1e4);
    svg.append(ring);
    if (genes.said) said.textContent = `${genes.id[nearest]}: ${genes.said[nearest]}`;
    else said.textContent = `${genes.id[nearest]}: probability ${genes.p[nearest]}, predicted ${words(genes.called[nearest])}, label ${words(genes.label[nearest])}`;
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
}
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
