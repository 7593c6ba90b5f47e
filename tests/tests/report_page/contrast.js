(() => {
  const channel = it => (it /= 255) <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const colour = text => text.match(/[\d.]+/g).map(Number);
  const behind = element => {
    for (let it = element; it; it = it.parentElement) {
      const found = colour(getComputedStyle(it).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const ratio = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  let least = 99, where = null, texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || element.closest('svg') || !element.checkVisibility()) continue;
    texts += 1;
    const styles = [getComputedStyle(element), getComputedStyle(element, '::before')];
    for (const style of styles) {
      const found = ratio(colour(style.color), behind(element));
      if (found < least) [least, where] = [found, element.tagName + ': ' + text.data.slice(0, 60)];
    }
  }
  return {least, where, texts};
})()
