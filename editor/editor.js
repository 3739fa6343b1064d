// The console's editor: it stands in for the textarea of the composer, which stays the form's field.
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { globalCompletion, localCompletionSource, pythonLanguage } from "@codemirror/lang-python";
import { keywordCompletionSource, schemaCompletionSource, SQLDialect, StandardSQL, sql } from "@codemirror/lang-sql";
import { bracketMatching, indentOnInput, indentUnit, LanguageSupport, StreamLanguage, syntaxHighlighting, syntaxTree } from "@codemirror/language";
import { scala } from "@codemirror/legacy-modes/mode/clike";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, keymap, placeholder } from "@codemirror/view";
import { tagHighlighter, tags } from "@lezer/highlight";

const sparkSql = SQLDialect.define({
  ...StandardSQL.spec,
  keywords: `${StandardSQL.spec.keywords} anti cache cluster clustered database databases delta describe distribute explain extended functions history ilike lateral limit location merge minus msck namespace offset optimize overwrite partitioned partitions pivot properties qualify rename repair replace restore rlike schemas semi show sort stored tables tablesample tblproperties unpivot unset use vacuum version view views window zorder`,
  types: `${StandardSQL.spec.types} array bigint binary boolean byte date decimal double float int integer long map short smallint string struct timestamp timestamp_ntz tinyint variant`,
  identifierQuotes: "`",
  doubleQuotedStrings: true,
});

// The classes with which the server colours code, so that a cell looks as it did while it was typed.
const colours = syntaxHighlighting(tagHighlighter([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier, tags.self, tags.null, tags.bool, tags.atom], class: "tk" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp, tags.character], class: "ts" },
  { tag: [tags.comment, tags.docComment], class: "tc" },
  { tag: [tags.number, tags.integer, tags.float], class: "tm" },
  { tag: [tags.function(tags.definition(tags.variableName)), tags.definition(tags.className), tags.className], class: "tnf" },
  { tag: [tags.standard(tags.name), tags.typeName, tags.meta], class: "tnb" },
]));

const look = EditorView.theme({
  "&": { fontSize: "13px", color: "var(--ink)", backgroundColor: "var(--card)", border: "1px solid var(--strong-line)", borderRadius: "4px", minWidth: "0" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5", minHeight: "5.5em", maxHeight: "38vh", overflow: "auto" },
  ".cm-content": { caretColor: "var(--ink)", padding: "6px 0" },
  ".cm-line": { padding: "0 9px" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--ink)" },
  ".cm-placeholder": { color: "var(--soft)" },
  "& .cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { background: "light-dark(#cfe6e1, #28514a)" },
  "&.cm-focused .cm-matchingBracket, & .cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "1px solid var(--accent)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "var(--bad-soft)" },
  ".cm-tooltip": { background: "var(--card)", color: "var(--ink)", border: "1px solid var(--strong-line)", borderRadius: "4px", boxShadow: "0 8px 24px var(--shade)", zIndex: "12" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12.5px", maxHeight: "14em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 8px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { background: "var(--accent)", color: "var(--accent-ink)" },
  ".cm-completionDetail": { color: "inherit", opacity: "0.8", fontStyle: "normal" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
});

// What the server knows for completion; an error there only means that there is less to propose.
async function read(url) {
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    return answer.ok ? await answer.json() : null;
  } catch { return null; }
}

class Catalogue {
  constructor(url) { this.url = url; this.columns = new Map(); }
  tables() { this.listed ??= read(this.url).then((found) => found?.tables ?? []); return this.listed; }
  // Columns are read for tables that the code names, a few of them.
  async schema(code) {
    const names = await this.tables();
    const named = names.filter((name) => code.includes(name.split(".").pop())).slice(0, 8);
    await Promise.all(named.map((name) => this.of(name)));
    return Object.fromEntries(names.map((name) => [name, this.columns.get(name)?.found ?? []]));
  }
  of(name) {
    if (!this.columns.has(name)) {
      const entry = { found: [] };
      entry.ready = read(`${this.url}${this.url.includes("?") ? "&" : "?"}table=${encodeURIComponent(name)}`).then((found) => {
        entry.found = (found?.columns ?? []).map((one) => ({ label: one.name, detail: one.type, type: "property", ...quoted(one.name) }));
      });
      this.columns.set(name, entry);
    }
    return this.columns.get(name).ready;
  }
}
const quoted = (name) => (/^[A-Za-z_]\w*$/.test(name) ? {} : { apply: `\`${name.replaceAll("`", "``")}\`` });

// The session's statements, the newest first; read again when there are new ones.
class Past {
  constructor(url) { this.url = url; }
  entries() {
    const count = document.getElementById("after")?.value;
    if (this.count !== count || !this.read) { this.count = count; this.read = read(this.url).then((found) => found?.statements ?? []); }
    return this.read;
  }
}

const definitions = /(?:^|[;\n])[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+(\w+)|(?:^|[;\n])[ \t]*([A-Za-z_]\w*)[ \t]*(?::[^=\n]+)?=(?!=)|\b(?:import|as|for)[ \t]+([A-Za-z_]\w*)/g;
const predefined = ["spark", "sc", "display", "displayHTML", "notebookutils", "mssparkutils", "sqlContext"];
function defining(statements) {
  const found = new Set(predefined);
  for (const one of statements) if (one.kind === "pyspark") for (const match of one.code.matchAll(definitions)) found.add(match[1] ?? match[2] ?? match[3]);
  return [...found].map((label) => ({ label, type: "variable" }));
}

// Names of the session's live objects: variables, attributes, keys, members of modules.
function live(url) {
  return async (context) => {
    const line = context.state.doc.lineAt(context.pos), text = line.text.slice(0, context.pos - line.from);
    const key = /\[\s*["'][^"'\]]*$/.test(text), word = context.matchBefore(key ? /[^"']*/ : /\w*/);
    if ((inString(context) && !key) || (!key && !word.text && !context.explicit && !text.endsWith("."))) return null;
    const found = await read(`${url}${url.includes("?") ? "&" : "?"}line=${encodeURIComponent(text.slice(-1000))}`);
    const options = (found?.names ?? []).map((label) => ({ label, type: "variable" }));
    return options.length ? { from: word.from, options, validFor: key ? /^[^"']*$/ : /^\w*$/ } : null;
  };
}

function languages(catalogue, past, names) {
  const fromCatalogue = async (context) => schemaCompletionSource({ dialect: sparkSql, schema: await catalogue.schema(context.state.doc.toString()) })(context);
  const defined = async (context) => {
    const word = context.matchBefore(/\w+/);
    if (!word || context.matchBefore(/\.\w*/) || inString(context)) return null;
    return { from: word.from, options: defining(await past.entries()), validFor: /^\w*$/ };
  };
  // In a string: a table's name, and columns of the tables that the code names.
  const inStrings = async (context) => {
    const word = context.matchBefore(/[\w.]+/);
    if (!inString(context) || (!word && !context.explicit)) return null;
    const schema = await catalogue.schema(context.state.doc.toString());
    const columns = Object.values(schema).flat().map(({ label, detail, type }) => ({ label, detail, type }));
    return { from: word?.from ?? context.pos, options: [...Object.keys(schema).map((label) => ({ label, type: "class" })), ...columns], validFor: /^[\w.]*$/ };
  };
  const python = new LanguageSupport(pythonLanguage, [localCompletionSource, globalCompletion, defined, inStrings, live(names)].map((autocomplete) => pythonLanguage.data.of({ autocomplete })));
  const sqlLanguage = sparkSql.language;
  return {
    pyspark: [python, indentUnit.of("    ")],
    sql: [new LanguageSupport(sqlLanguage, [sqlLanguage.data.of({ autocomplete: fromCatalogue }), sqlLanguage.data.of({ autocomplete: keywordCompletionSource(sparkSql, true) })]), indentUnit.of("  ")],
    spark: [StreamLanguage.define(scala), indentUnit.of("  ")],
  };
}
const inString = (context) => /String/.test(syntaxTree(context.state).resolveInner(context.pos, -1).name);

// Up on the first line and Down on the last one walk through the statements; below the newest is the draft.
function walking(past, select) {
  let at = -1, draft = null;
  const show = (view, entry, atStart) => {
    select(entry.kind);
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: entry.code }, scrollIntoView: true, userEvent: "history" });
    view.dispatch({ selection: { anchor: atStart ? view.state.doc.line(1).to : view.state.doc.length }, scrollIntoView: true });
  };
  const step = (by) => (view) => {
    const { main } = view.state.selection, line = view.state.doc.lineAt(main.head).number;
    if (completionStatus(view.state) === "active" || !main.empty || line !== (by > 0 ? 1 : view.state.doc.lines)) return false;
    if (by < 0 && at < 0) return false;
    past.entries().then((entries) => {
      const next = Math.min(at + by, entries.length - 1);
      if (next === at) return;
      if (at < 0) draft = { code: view.state.doc.toString(), kind: select() };
      at = next;
      show(view, at < 0 ? draft : entries[at], by > 0);
    });
    return true;
  };
  const edited = EditorView.updateListener.of((update) => {
    if (update.docChanged && !update.transactions.some((one) => one.isUserEvent("history"))) at = -1;
  });
  return [edited, Prec.high(keymap.of([{ key: "ArrowUp", run: step(1) }, { key: "ArrowDown", run: step(-1) }]))];
}

function mount(field) {
  const form = field.form, kind = form.querySelector("select"), language = new Compartment();
  const past = new Past(form.dataset.history), spoken = languages(new Catalogue(form.dataset.catalogue), past, form.dataset.names);
  const select = (value) => {
    if (value && value !== kind.value && spoken[value]) { kind.value = value; kind.dispatchEvent(new Event("change", { bubbles: true })); }
    return kind.value;
  };
  const run = () => { form.requestSubmit(); return true; };
  let quiet = false;
  // Somebody may type into the field already: the editor goes on from there.
  const focused = document.activeElement === field;
  const view = new EditorView({
    state: EditorState.create({
      doc: field.value,
      selection: { anchor: field.selectionStart, head: field.selectionEnd },
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run }, { key: "Ctrl-Enter", run }, { key: "Shift-Enter", run }])),
        walking(past, select),
        history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), autocompletion({ icons: false }),
        keymap.of([{ key: "Tab", run: acceptCompletion }, ...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab]),
        language.of(spoken[kind.value] ?? []), colours, look,
        placeholder(field.placeholder),
        EditorView.cspNonce.of(form.dataset.nonce),
        EditorView.contentAttributes.of({ id: "editor", tabindex: "0", "aria-label": form.dataset.label, "aria-describedby": "keys", autocapitalize: "off", autocorrect: "off" }),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged || quiet) return;
          quiet = true;
          field.value = update.state.doc.toString();
          field.dispatchEvent(new Event("input", { bubbles: true }));
          quiet = false;
        }),
      ],
    }),
  });
  // A hidden field that is required could never be sent: the console itself refuses empty code.
  field.required = false;
  field.hidden = true;
  field.before(view.dom);
  kind.addEventListener("change", () => view.dispatch({ effects: language.reconfigure(spoken[kind.value] ?? []) }));
  // Whatever else changes the field says so by an event.
  field.addEventListener("input", () => {
    if (quiet || field.value === view.state.doc.toString()) return;
    quiet = true;
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: field.value }, selection: { anchor: field.value.replaceAll("\r\n", "\n").length } });
    quiet = false;
  });
  field.focus = () => { view.focus(); };
  if (focused) view.focus();
}

const field = document.querySelector("form.composer textarea");
if (field) mount(field);
