// Bundles the front end into one ES module with its stylesheet inside.
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";
import { compileStyles } from "./styles.mjs";

const MAX_GZIP_BYTES = 120_000;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const outfile = here("../mistudio_widgets/static/widget.js");

const styles = {
  name: "styles",
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async () => ({
      contents: await compileStyles(),
      loader: "text",
      // a class that is new in a component changes the stylesheet too
      watchFiles: (await readdir(here("./src"), { recursive: true })).map((name) =>
        here(`./src/${name}`),
      ),
    }));
  },
};

const report = {
  name: "report",
  setup(build) {
    build.onEnd(async ({ errors }) => {
      if (errors.length > 0) return;
      const bytes = await readFile(outfile);
      const gzip = gzipSync(bytes, { level: 9 }).length;
      console.log(`widget.js: ${bytes.length} bytes, ${gzip} bytes gzip`);
      if (gzip > MAX_GZIP_BYTES) {
        console.error(`The bundle is larger than ${MAX_GZIP_BYTES} bytes gzip.`);
        process.exitCode = 1;
      }
    });
  },
};

const options = {
  entryPoints: [here("./src/index.tsx")],
  outfile,
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  minify: true,
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  plugins: [styles],
  logLevel: "info",
};

if (process.argv.includes("--watch")) {
  const context = await esbuild.context({ ...options, minify: false, sourcemap: "inline" });
  await context.watch();
} else {
  await esbuild.build({ ...options, plugins: [styles, report] });
}
