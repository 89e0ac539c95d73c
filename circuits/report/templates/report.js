"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  // No button that would send anything anywhere.
  const modeBarButtons = [["toImage"], ["zoom2d", "pan2d", "resetScale2d"]];
  const config = { responsive: true, displaylogo: false, modeBarButtons };
  const draw = (theme) => {
    for (const place of document.querySelectorAll("[data-figure]")) {
      const data = document.getElementById(place.dataset.figure).textContent;
      const figure = JSON.parse(data)[theme];
      Plotly.react(place, figure.data, figure.layout, config);
    }
  };
  const drawAsPreferred = () => draw(dark.matches ? "dark" : "light");
  dark.addEventListener("change", drawAsPreferred);
  window.addEventListener("beforeprint", () => draw("light"));
  window.addEventListener("afterprint", drawAsPreferred);
  drawAsPreferred();
})();
