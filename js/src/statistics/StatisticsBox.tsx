/** A box with figures. */

import type { ReactNode } from "react";

export interface StatisticsBoxProps {
  part: string;
  title: string;
  titlePart?: string;
  children: ReactNode;
}

export function StatisticsBox({ part, title, titlePart, children }: StatisticsBoxProps) {
  return (
    <section
      data-part={part}
      className="min-w-0 rounded-lg border border-slate-800 bg-slate-900/50 p-6"
    >
      <h4 data-part={titlePart} className="mb-4 font-semibold">
        {title}
      </h4>
      {children}
    </section>
  );
}
