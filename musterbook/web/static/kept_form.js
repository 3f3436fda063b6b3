// Send a form that was kept while its user signed in again. A field may be named "submit", so the form's own method is not used.
HTMLFormElement.prototype.submit.call(document.getElementById("kept-form"));
