// Try the API: choose an operation of the OpenAPI document, fill in its parameters, send it with a token, see the answer.
"use strict";

const form = document.getElementById("try");
const words = form.dataset;
const get = (id) => document.getElementById(`try-${id}`);
const LONGEST = 200_000;
let described = null;

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false) {
      made.setAttribute(key, value === true ? "" : value);
    }
  }
  made.append(...children);
  return made;
}

// Texts of the document have `code` in them.
function makeText(text) {
  return text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

function resolve(schema) {
  const name = (schema.$ref || "").split("/").pop();
  return name ? described.components.schemas[name] : schema;
}

// A value that fits a schema: its example, its default, or a small one.
function makeExample(schema, depth = 0) {
  const found = resolve(schema);
  if (found.examples) {
    return found.examples[0];
  }
  if ("default" in found) {
    return found.default;
  }
  if (found.enum || "const" in found) {
    return found.enum ? found.enum[0] : found.const;
  }
  if (found.anyOf) {
    return makeExample(found.anyOf[0], depth);
  }
  if (found.type === "object") {
    const members = Object.entries(depth < 4 ? found.properties || {} : {});
    return Object.fromEntries(members.map(([name, one]) => [name, makeExample(one, depth + 1)]));
  }
  if (found.type === "array") {
    return depth < 4 && found.items && resolve(found.items).type === "object" ? [makeExample(found.items, depth + 1)] : [];
  }
  return { integer: found.minimum || 0, number: found.minimum || 0, boolean: true, null: null }[found.type] ?? "";
}

function list() {
  return Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  );
}

function getChosen() {
  return list().find((one) => one.operationId === get("operation").value);
}

function fillOperations() {
  const groups = new Map();
  for (const one of list()) {
    const tag = one.tags[0];
    groups.set(tag, [...(groups.get(tag) || []), one]);
  }
  for (const [tag, operations] of groups) {
    const options = operations.map((one) =>
      make("option", { value: one.operationId }, `${one.method} ${one.path} – ${one.summary}`),
    );
    get("operation").append(make("optgroup", { label: tag }, ...options));
  }
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (list().some((one) => one.operationId === wanted)) {
    get("operation").value = wanted;
  }
}

function showOperation() {
  const one = getChosen();
  const permission = one["x-permission"];
  const texts = one.description.split("\n\n").filter((text) => !text.startsWith("Permission:"));
  get("about").replaceChildren(
    make("p", {}, make("code", {}, `${one.method} ${one.path}`)),
    ...texts.map((text) => make("p", {}, ...makeText(text))),
    make("p", { lang: document.documentElement.lang }, `${words.permission} `, permission ? make("code", {}, permission) : words.none),
  );
  if (one.method !== "GET") {
    get("about").append(make("p", { lang: document.documentElement.lang, class: "m-try__changes" }, words.changes));
  }
  const legend = get("fields").querySelector("legend");
  get("fields").replaceChildren(legend, ...one.parameters.flatMap(makeField), ...makeBodyField(one));
  get("answer").hidden = true;
}

function makeField(parameter) {
  const id = `try-${parameter.in}-${parameter.name}`;
  const schema = resolve(parameter.schema || Object.values(parameter.content)[0].schema);
  const options = schema.enum || (schema.type === "boolean" ? [true, false] : null);
  const about = [parameter.required ? words.required : words.optional];
  const hint = parameter.description ? [make("span", { class: "usa-hint", id: `${id}-hint`, lang: "en" }, ...makeText(parameter.description))] : [];
  const attributes = {
    id, name: id, required: parameter.required || false, "data-in": parameter.in, "data-name": parameter.name,
    "aria-describedby": hint.length ? `${id}-hint` : false,
  };
  const field = options
    ? make("select", { class: "usa-select", ...attributes }, make("option", { value: "" }, ""), ...options.map((value) => make("option", {}, String(value))))
    : make("input", { class: "usa-input", type: "text", spellcheck: "false", ...attributes });
  return [make("label", { class: "usa-label", for: id }, make("code", {}, parameter.name), ` (${about.join(", ")})`), ...hint, field];
}

function makeBodyField(one) {
  const content = one.requestBody ? one.requestBody.content : {};
  const [kind, body] = Object.entries(content).find(([name]) => name === "application/json") || Object.entries(content)[0] || [];
  if (!kind) {
    return [];
  }
  if (kind !== "application/json") {
    return [make("label", { class: "usa-label", for: "try-file" }, words.file), make("input", { class: "usa-file-input", type: "file", id: "try-file" })];
  }
  const text = JSON.stringify(makeExample(body.schema), null, 2);
  const field = make("textarea", { class: "usa-textarea m-try__body", id: "try-json", rows: Math.min(20, text.split("\n").length + 1), spellcheck: "false" });
  field.value = text;
  return [make("label", { class: "usa-label", for: "try-json" }, words.body), field];
}

function makeRequest() {
  const one = getChosen();
  const headers = { Authorization: `Bearer ${get("token").value.trim()}`, Accept: "application/json" };
  const query = new URLSearchParams();
  let path = one.path;
  for (const field of get("fields").querySelectorAll("[data-in]")) {
    const { in: place, name } = field.dataset;
    if (place === "path") {
      path = path.replace(`{${name}}`, encodeURIComponent(field.value));
    } else if (field.value && place === "query") {
      query.append(name, field.value);
    } else if (field.value) {
      headers[name] = field.value;
    }
  }
  const json = get("json");
  const file = get("file");
  let body;
  if (json) {
    headers["Content-Type"] = "application/json";
    body = json.value;
  } else if (file && file.files.length) {
    body = new FormData();
    body.append("file", file.files[0]);
  }
  return { method: one.method, address: `${words.base}${path}${query.size ? `?${query}` : ""}`, headers, body };
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function describeCommand({ method, address, headers, body }) {
  const parts = [`curl --request ${method}`, '--header "Authorization: Bearer $TOKEN"'];
  for (const [name, value] of Object.entries(headers)) {
    if (name !== "Authorization" && name !== "Accept") {
      parts.push(`--header ${quote(`${name}: ${value}`)}`);
    }
  }
  if (typeof body === "string") {
    parts.push(`--data ${quote(body)}`);
  } else if (body) {
    parts.push(`--form ${quote(`file=@${body.get("file").name}`)}`);
  }
  return [...parts, quote(new URL(address, location.href).href)].join(" \\\n  ");
}

function showBody(text, kind) {
  let shown = text;
  if (kind.includes("json")) {
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      shown = text;
    }
  }
  get("body").textContent = shown ? shown.slice(0, LONGEST) : words.empty;
  return shown.length > LONGEST ? ` ${words.cut}` : "";
}

async function send() {
  const request = makeRequest();
  get("command").textContent = describeCommand(request);
  get("headers").textContent = get("body").textContent = "";
  get("status").textContent = words.sending;
  get("answer").hidden = false;
  const began = performance.now();
  try {
    const response = await fetch(request.address, { ...request, credentials: "omit", redirect: "error", cache: "no-store" });
    const text = await response.text();
    const took = Math.round(performance.now() - began);
    get("headers").textContent = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    const cut = showBody(text, response.headers.get("Content-Type") || "");
    get("status").textContent = `${response.status} ${response.statusText} (${took} ${words.milliseconds})${cut}`;
  } catch {
    get("status").textContent = words.failed;
  }
  get("answer").focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const lacking = !get("token").value.trim();
  get("token-error").textContent = lacking ? words.token : "";
  get("token").setAttribute("aria-invalid", String(lacking));
  if (lacking) {
    get("token").focus();
  } else if (form.reportValidity()) {
    send();
  }
});
get("operation").addEventListener("change", () => {
  history.replaceState(null, "", `#${get("operation").value}`);
  showOperation();
});

fetch(words.document, { credentials: "omit" })
  .then((response) => response.json())
  .then((document_) => {
    described = document_;
    fillOperations();
    form.hidden = false;
    showOperation();
  })
  .catch(() => { form.after(words.lost); });
