// Asks for the page again every few seconds and takes over what has changed, so that what a person
// reads, selects or has scrolled to stays where it is. What comes is the page as the agent writes it,
// in which foreign words are text already; nothing here makes HTML of a text.
"use strict";

const INTERVAL_MS = 5000;
const PATIENCE_MS = 10000;

const lost = document.getElementById("lost");
let since = null;
let timer = null;
let isAsking = false;

async function refresh() {
  timer = null;
  isAsking = true;
  const giveUp = new AbortController();
  const late = setTimeout(() => giveUp.abort(), PATIENCE_MS);
  try {
    const answer = await fetch("./", { cache: "no-store", signal: giveUp.signal });
    if (!answer.ok) {
      throw new Error(`it answers HTTP ${answer.status}`);
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["now", "clock"]) {
      become(document.getElementById(id), page.getElementById(id));
    }
    document.title = page.title;
    found();
  } catch (error) {
    isLost(error);
  } finally {
    clearTimeout(late);
    isAsking = false;
    if (!document.hidden) {
      timer = setTimeout(refresh, INTERVAL_MS);
    }
  }
}

function found() {
  since = null;
  lost.hidden = true;
  document.body.classList.remove("lost");
}

function isLost(error) {
  if (since === null) {
    since = new Date();
    const time = since.toISOString().slice(11, 19);
    const answers = error.message.startsWith("it answers") ? ` (${error.message})` : "";
    lost.textContent =
      `The agent cannot be reached since ${time} UTC${answers}: what you see is from before that. ` +
      "It is tried again every few seconds.";
    lost.hidden = false;
    document.body.classList.add("lost");
    document.title = "Not reached – cta-forwarder";
  }
}

// Makes an element what another is, touching only what differs.
function become(old, now) {
  for (const { name } of [...old.attributes]) {
    if (!now.hasAttribute(name)) {
      old.removeAttribute(name);
    }
  }
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) !== value) {
      old.setAttribute(name, value);
    }
  }
  const children = [...now.childNodes];
  while (old.childNodes.length > children.length) {
    old.lastChild.remove();
  }
  children.forEach((child, index) => {
    const there = old.childNodes[index];
    if (!there) {
      old.append(document.importNode(child, true));
    } else if (there.nodeName !== child.nodeName) {
      there.replaceWith(document.importNode(child, true));
    } else if (child.nodeType === Node.ELEMENT_NODE) {
      become(there, child);
    } else if (there.data !== child.data) {
      there.data = child.data;
    }
  });
}

// Nobody looks at a page in the background.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    timer = null;
  } else if (timer === null && !isAsking) {
    refresh();
  }
});
timer = setTimeout(refresh, INTERVAL_MS);
