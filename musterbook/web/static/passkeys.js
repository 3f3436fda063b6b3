// Ask the browser to create or use a passkey, and send its response. The server decides. This script only converts bytes to
// text and back.
"use strict";

const problem = document.querySelector("[data-problem]");

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) {
    problem.textContent = problem.dataset.unsupported;
    break;
  }
  problem.textContent = "";
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}

async function send(form) {
  const act = form.dataset.passkey === "make" ? make : use;
  try {
    problem.textContent = "";
    form.elements.credential.value = JSON.stringify(answer(await act((await options(form)).publicKey, form)));
  } catch (error) {
    problem.textContent = sentence(error.name);
    return;
  }
  form.submit();
}

// The page has the sentences in the language of the reader: data-invalid-state-error for InvalidStateError.
function sentence(name) {
  return problem.dataset[name.charAt(0).toLowerCase() + name.slice(1)] || problem.dataset.failed;
}

async function options(form) {
  if (form.dataset.options) {
    return JSON.parse(document.getElementById(form.dataset.options).textContent);
  }
  const response = await fetch(form.action, { headers: { Accept: "application/json" } });
  return (await response.json()).request_options;
}

function make(asked, form) {
  const alone = form.elements.passwordless.checked;
  return navigator.credentials.create({
    publicKey: {
      ...asked,
      challenge: bytes(asked.challenge),
      user: { ...asked.user, id: bytes(asked.user.id) },
      excludeCredentials: known(asked.excludeCredentials),
      authenticatorSelection: {
        ...asked.authenticatorSelection,
        residentKey: alone ? "required" : "discouraged",
        requireResidentKey: alone,
        ...(alone && { userVerification: "required" }),
      },
    },
  });
}

function use(asked) {
  return navigator.credentials.get({
    publicKey: { ...asked, challenge: bytes(asked.challenge), allowCredentials: known(asked.allowCredentials) },
  });
}

function known(credentials) {
  return (credentials || []).map((credential) => ({ ...credential, id: bytes(credential.id) }));
}

function answer(credential) {
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const given = parts.filter((part) => credential.response[part]);
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: Object.fromEntries(given.map((part) => [part, text(credential.response[part])])),
  };
}

function bytes(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}

function text(buffer) {
  const characters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte));
  return btoa(characters.join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
