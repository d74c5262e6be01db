// Passkeys: hands the browser the options the server wrote into the form, and the browser's answer back to the form.
// Everything else on these pages works without a script.
"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const listed = (credentials) => (credentials || []).map((each) => ({ ...each, id: bytes(each.id) }));

  const forBrowser = (options) => ({
    ...options,
    challenge: bytes(options.challenge),
    ...(options.user && { user: { ...options.user, id: bytes(options.user.id) } }),
    ...(options.allowCredentials && { allowCredentials: listed(options.allowCredentials) }),
    ...(options.excludeCredentials && { excludeCredentials: listed(options.excludeCredentials) }),
  });

  const forServer = (made) => {
    const response = { clientDataJSON: text(made.response.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (made.response[name]) response[name] = text(made.response[name]);
    }
    return JSON.stringify({
      id: made.id, rawId: text(made.rawId), type: made.type, response,
      clientExtensionResults: made.getClientExtensionResults(),
    });
  };

  for (const form of document.querySelectorAll("form[data-ceremony]")) {
    const button = form.querySelector("button[type=submit]");
    const trouble = form.querySelector("[data-trouble]");
    if (!window.PublicKeyCredential) continue;
    button.disabled = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      trouble.hidden = true;
      try {
        const publicKey = forBrowser(JSON.parse(form.dataset.options));
        form.elements.answer.value = forServer(await navigator.credentials[form.dataset.ceremony]({ publicKey }));
        form.submit();
      } catch {
        trouble.hidden = false;
        button.disabled = false;
      }
    });
  }

  // A link of ours carries its code behind the #, which is never sent: it lands in the field, not in anybody's log.
  const code = document.querySelector("form[data-from-fragment] input[name=code]");
  if (code && /^#[\w-]{20,64}$/.test(location.hash)) {
    code.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
  }
})();
