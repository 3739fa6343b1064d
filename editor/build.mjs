// Makes the console's editor: `npm ci && npm run build` writes the script, and the licences of what is in it.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url)), target = join(here, "../src/livius/portal/static");
const digest = createHash("sha256");
for (const name of ["build.mjs", "editor.js", "package-lock.json"]) digest.update(readFileSync(join(here, name)));

const made = await build({
  entryPoints: [join(here, "editor.js")],
  bundle: true, minify: true, format: "iife", target: "es2022", legalComments: "none", charset: "utf8", metafile: true, write: false,
  // A test compares it with the sources.
  banner: { js: `/* Livius's editor, of ${digest.digest("hex")}; licences in editor.LICENSES.txt */` },
  absWorkingDir: here,
});
writeFileSync(join(target, "editor.js"), made.outputFiles[0].contents);

const packages = new Set(Object.keys(made.metafile.inputs).map((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]).filter(Boolean));
const licences = [...packages].sort().map((name) => {
  const folder = join(here, "node_modules", name), { version, license } = JSON.parse(readFileSync(join(folder, "package.json")));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!file) throw new Error(`${name} has no licence`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
writeFileSync(join(target, "editor.LICENSES.txt"), licences.join(`\n${"-".repeat(70)}\n\n`));
