// What makes a page of plain forms a live one: answers as one types, parts that keep themselves up to date.
"use strict";

const PAUSE = 150; // milliseconds without a change before a form is asked

async function part(address, options = {}) {
  const answer = await fetch(address, { ...options, headers: { "X-Fragment": "1" } });
  const text = await answer.text();
  if ((answer.headers.get("content-type") || "").startsWith("text/html")) return text;
  const problem = document.createElement("p"); // the server's guard answers in JSON
  problem.className = "problem";
  problem.textContent = `The server answered ${answer.status}. Load the page again.`;
  try {
    problem.textContent = JSON.parse(text).error;
  } catch { /* it stays with the status */ }
  return problem.outerHTML;
}

const shown = new WeakMap(); // what stands where, as it came

function put(place, html) {
  if (shown.get(place) === html) return;
  shown.set(place, html);
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.innerHTML = html;
  if (focused) document.getElementById(focused)?.focus();
}

function unreachable(place) {
  put(place, '<p class="problem">The server cannot be reached.</p>');
}

function live(form) {
  const answer = document.querySelector(form.dataset.live);
  const why = document.getElementById("why");
  let timer, asking;

  async function ask() {
    clearTimeout(timer);
    asking?.abort();
    const mine = (asking = new AbortController());
    const options = { method: "POST", body: new URLSearchParams(new FormData(form)), signal: mine.signal };
    form.setAttribute("aria-busy", "true");
    try {
      put(answer, await part(form.action.split("#")[0], options));
      const wrong = new Map([...answer.querySelectorAll("[data-error-for]")].map((e) => [e.dataset.errorFor, e.textContent]));
      for (const field of form.querySelectorAll("[name]")) {
        const sentence = wrong.get(field.name) || "";
        const slot = document.getElementById(`${field.name}-error`);
        if (slot) slot.textContent = sentence;
        if (sentence) field.setAttribute("aria-invalid", "true");
        else field.removeAttribute("aria-invalid");
        if (sentence) field.closest("details")?.setAttribute("open", "");
      }
      if (!answer.querySelector("[data-answer]")) put(why, "");
      else {
        why.classList.add("old");
        put(why, await part(form.dataset.why, options));
        why.classList.remove("old");
      }
    } catch (error) {
      if (error.name !== "AbortError") unreachable(answer);
    } finally {
      if (asking === mine) form.removeAttribute("aria-busy");
    }
  }

  form.addEventListener("input", (event) => {
    const slider = event.target.dataset.for;
    if (slider) document.getElementById(slider).value = event.target.value;
    else {
      const own = form.querySelector(`[data-for="${event.target.id}"]`);
      if (own && event.target.value.trim() !== "") own.value = event.target.value;
    }
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  form.addEventListener("reset", () => setTimeout(ask));
  ask();
}

function loading(place) {
  const seconds = Number(place.dataset.every || 0);

  async function load() {
    if (!document.hidden) {
      try {
        put(place, await part(place.dataset.load));
      } catch {
        unreachable(place);
      }
    }
    const calm = place.querySelector("[data-busy]") ? 1 : 5; // where nothing goes on, there is no hurry
    if (seconds) setTimeout(load, 1000 * seconds * calm);
  }
  load();
}

document.querySelectorAll("form[data-live]").forEach(live);
document.querySelectorAll("[data-load]").forEach(loading);
