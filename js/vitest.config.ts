import { defineConfig } from "vitest/config";
import { compileStyles } from "./styles.mjs";

export default defineConfig({
  plugins: [
    {
      name: "styles",
      enforce: "pre",
      async load(id) {
        if (!id.endsWith("/src/styles.css")) return null;
        return `export default ${JSON.stringify(await compileStyles())}`;
      },
    },
  ],
  test: {
    environment: "happy-dom",
    setupFiles: ["src/testing/setup.ts"],
    restoreMocks: true,
    coverage: {
      provider: "v8",
      include: ["src/**/*.{ts,tsx}"],
      exclude: ["src/**/*.test.*", "src/testing/**", "src/*.d.ts", "src/protocol.gen.ts"],
      reporter: ["text", "text-summary"],
      thresholds: { statements: 80, branches: 80, functions: 80, lines: 80 },
    },
  },
});
