import containerQueries from "@tailwindcss/container-queries";

export default {
  content: ["src/**/*.tsx"],
  theme: {
    extend: {
      keyframes: {
        "backdrop-in": { from: { backgroundColor: "transparent" } },
        "backdrop-out": { to: { backgroundColor: "transparent" } },
        "dialog-in": { from: { opacity: "0", transform: "scale(0.95)" } },
        "dialog-out": { to: { opacity: "0", transform: "scale(0.95)" } },
      },
      // usePresence.ts waits as long; what is out stays so until it is taken away
      animation: {
        "backdrop-in": "backdrop-in 150ms ease-out",
        "backdrop-out": "backdrop-out 150ms ease-in forwards",
        "dialog-in": "dialog-in 150ms ease-out",
        "dialog-out": "dialog-out 150ms ease-in forwards",
      },
    },
  },
  plugins: [containerQueries],
};
