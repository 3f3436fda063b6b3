// What PurgeCSS keeps of the design system's styles: those of elements, and of the components that the pages use.
// A component that is not in this list looks bare: add its name.
"use strict";

const COMPONENTS = [
  "alert", "button", "checkbox", "error-message", "fieldset", "form", "hint", "input", "label", "legend", "list", "radio",
  "select", "skipnav", "sr-only", "table", "tag", "textarea",
];
const ELEMENTS = [
  "a", "abbr", "article", "aside", "b", "blockquote", "body", "button", "caption", "code", "dd", "details", "div", "dl", "dt",
  "em", "fieldset", "figure", "footer", "form", "h1", "h2", "h3", "h4", "header", "hr", "html", "i", "img", "input", "kbd",
  "label", "legend", "li", "main", "mark", "nav", "ol", "optgroup", "option", "output", "p", "pre", "progress", "samp",
  "section", "select", "small", "span", "strong", "sub", "summary", "sup", "svg", "table", "tbody", "td", "template",
  "textarea", "tfoot", "th", "thead", "time", "tr", "ul",
];

module.exports = {
  content: [{ raw: "", extension: "html" }],
  css: ["node_modules/@uswds/uswds/dist/css/uswds.min.css"],
  fontFace: true,
  keyframes: true,
  safelist: {
    standard: ELEMENTS,
    greedy: [new RegExp(`^usa-(${COMPONENTS.join("|")})(?![a-z])(?!-group|--accent|--base|--big|--inverse)`)],
  },
};
