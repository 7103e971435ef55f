// Text with its addresses as links, built from nodes so that nothing in it is markup.

const ADDRESS = /https?:\/\/[^\s<>"]+/gi;
const TRAILING = /[.,;:!?'’)\]}]+$/; // belongs to the sentence, not to the address

/** Return a fragment that shows `text`, its http addresses clickable. */
export function linked(text) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimmed(match[0]);
    if (!URL.canParse(address)) continue;
    fragment.append(text.slice(end, match.index), link(address));
    end = match.index + address.length;
  }
  fragment.append(text.slice(end));
  return fragment;
}

function trimmed(address) {
  const shorter = address.replace(TRAILING, "");
  // https://en.wikipedia.org/wiki/Scope_(optics) ends with its bracket.
  return shorter.includes("(") && address[shorter.length] === ")" ? `${shorter})` : shorter;
}

function link(address) {
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.textContent = address;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow";
  return anchor;
}
