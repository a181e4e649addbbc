import containerQueries from "@tailwindcss/container-queries";

export default {
  content: ["src/**/*.tsx"],
  theme: { extend: {} },
  plugins: [containerQueries],
};
