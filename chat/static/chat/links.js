// Text with its addresses as links and its mentions, built from nodes so that nothing in
// it is markup.

const ADDRESS = /https?:\/\/[^\s<>"]+/gi;
const TRAILING = /[.,;:!?'’)\]}]+$/; // belongs to the sentence, not to the address

// A user name as Django takes them, after something that is no part of a word.
const LETTER = String.raw`[\p{L}\p{N}_.+@-]`;
const MENTION = new RegExp(`(?<!${LETTER})@(${LETTER}+)`, "gu");

/** A mention that ends where one writes, and what is none because it goes on there. */
export const BEGUN = new RegExp(`(?<!${LETTER})@(${LETTER}*)$`, "u");
export const GOES_ON = new RegExp(`^${LETTER}`, "u");

/** Return a fragment that shows `text`, its http addresses clickable, `@user` marked. */
export function linked(text, user) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimmed(match[0]);
    if (!URL.canParse(address)) continue;
    fragment.append(mentioned(text.slice(end, match.index), user), link(address));
    end = match.index + address.length;
  }
  fragment.append(mentioned(text.slice(end), user));
  return fragment;
}

// "@ana." ends a sentence, unless somebody is called so.
function isName(name, user) {
  return name === user || name.replace(/[.+@-]+$/, "") === user;
}

function mentioned(text, user) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(MENTION)) {
    if (!isName(match[1], user)) continue;
    const mark = document.createElement("mark");
    mark.textContent = `@${user}`;
    fragment.append(text.slice(end, match.index), mark);
    end = match.index + mark.textContent.length;
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
