// Compiles src/styles.css with Tailwind into the one stylesheet of the panel.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import postcss from "postcss";
import tailwindcss from "tailwindcss";
import config from "./tailwind.config.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The minified stylesheet, with `rem` resolved to pixels. */
export async function compileStyles() {
  const source = here("./src/styles.css");
  const content = config.content.map((glob) => here(`./${glob}`));
  const result = await postcss([tailwindcss({ ...config, content })]).process(
    await readFile(source, "utf8"),
    { from: source },
  );
  // a rem follows the font size of the page around us, which some notebook pages change
  const pixels = result.css.replaceAll(
    /(?<![\w.])(-?\d*\.?\d+)rem\b/g,
    (_, size) => `${Number(size) * 16}px`,
  );
  return (await transform(pixels, { loader: "css", minify: true })).code;
}
