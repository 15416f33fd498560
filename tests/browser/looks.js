// What a person would see, measured in the page; each function returns plain values.
const looks = (() => {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
      if (colour[3] > 0) throw new Error(`half-transparent background on ${e.tagName}`);
    }
    return [255, 255, 255];
  };
  const shown = (element) => element.checkVisibility() && !element.closest("title, desc, style, script, head");

  // Every visible text with its contrast (WCAG 2.2), size in pixels, and left and right edge.
  const texts = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || !shown(element)) continue;
      const style = getComputedStyle(element);
      const ink = numbers(element.closest("svg") ? style.fill : style.color);
      const [dark, light] = [luminance(ink), luminance(behind(element))].sort((a, b) => a - b);
      const box = element.getBoundingClientRect();
      const scrolls = !!element.closest(".wide"); // a wide table scrolls in its own box
      found.push({ text: walker.currentNode.data.slice(0, 60), contrast: (light + 0.05) / (dark + 0.05),
        size: parseFloat(style.fontSize), left: scrolls ? 0 : box.left, right: scrolls ? 0 : box.right });
    }
    return found;
  };

  // Every chart: its name, its size, and how many marks have a size of their own.
  const charts = () => [...document.querySelectorAll("svg[role=img]")].map((svg) => {
    const box = svg.getBoundingClientRect();
    const marks = [...svg.querySelectorAll("rect, polyline, circle")].map((e) => e.getBoundingClientRect());
    return { name: svg.querySelector("title").textContent, width: box.width, height: box.height,
      bars: [...svg.querySelectorAll("rect")].map((e) => e.getBoundingClientRect().width),
      heights: [...svg.querySelectorAll("rect")].map((e) => e.getBoundingClientRect().height),
      marks: marks.filter((m) => m.width > 0 && m.height > 0).length };
  });

  // Pairs of texts within a chart that lie on each other.
  const overlaps = () => [...document.querySelectorAll("svg[role=img]")].flatMap((svg) => {
    const boxes = [...svg.querySelectorAll("text")].map((e) => [e.textContent, e.getBoundingClientRect()]);
    return boxes.flatMap(([a, x], i) => boxes.slice(i + 1).filter(([, y]) =>
      Math.min(x.right, y.right) - Math.max(x.left, y.left) > 1 &&
      Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top) > 3).map(([b]) => `${a} | ${b}`));
  });

  // The table under a heading: its cells, numbers as numbers.
  const table = (heading) => {
    const figure = [...document.querySelectorAll("h2")].find((h) => h.textContent === heading).nextElementSibling;
    return [...figure.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => {
      const data = cell.querySelector("data");
      return data ? Number(data.value) : cell.textContent;
    }));
  };
  return { texts, charts, overlaps, table };
})();
