// Where the keyboard is.

/** Focus what is focused by nothing but this, without scrolling. */
export function focusOn(element) {
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
}
