// Draws a plot as SVG text.
//
// Why Observable Plot and not our own SVG: scales, ticks that fall on round numbers, log axes, stacks, symbols and error bars are
// what it does well and what 300 lines of ours would do less well; it draws without a browser into any DOM it is given, and
// colours may be CSS variables, so that one drawing serves light and dark pages. It brings d3 with it, 35 small packages of
// 6 MB, none with native code; they are needed by this report alone, so they are optional dependencies that are loaded when
// a report is made. Of the DOMs we looked at, xmldom is the lightest (no dependency of its own) and writes strict XML:
// whatever stands in a results file comes out escaped.
//
// Every drawing is made for a fixed width in pixels; the page shows the one that fits.

import type { Markish, MarkOptions, PlotOptions } from "@observablehq/plot";
import type { Document, Element } from "@xmldom/xmldom";
import { UsageError } from "../../src/index.js";

type Plot = typeof import("@observablehq/plot");
type Dom = typeof import("@xmldom/xmldom");

export interface Drawing {
  readonly width: number;
  readonly svg: string;
}

export interface Painter {
  readonly plot: Plot;
  /** `title` and `description` are read out in place of the picture. */
  draw(options: PlotOptions, title: string, description: string): Drawing;
}

export type { Markish, MarkOptions, PlotOptions };

/** Rejects UsageError if the packages were left out of the installation. */
export async function loadPainter(): Promise<Painter> {
  const { plot, dom } = await loadPackages();
  return {
    plot,
    draw: (options, title, description) => draw({ plot, dom }, options, title, description),
  };
}

async function loadPackages(): Promise<{ plot: Plot; dom: Dom }> {
  try {
    const [plot, dom] = await Promise.all([import("@observablehq/plot"), import("@xmldom/xmldom")]);
    return { plot, dom };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new UsageError(
      "USAGE_STATE",
      "the report draws with @observablehq/plot and @xmldom/xmldom, which are not installed: npm install @observablehq/plot @xmldom/xmldom",
    );
  }
}

function draw(
  { plot, dom }: { plot: Plot; dom: Dom },
  options: PlotOptions,
  title: string,
  description: string,
): Drawing {
  const document = new dom.DOMImplementation().createDocument("http://www.w3.org/1999/xhtml", "html", null);
  // Plot's types want a browser's document; it uses what any DOM has.
  const given = { className: "plot", ...options, document } as unknown as PlotOptions;
  const svg = plot.plot(given) as unknown as Element;
  for (const style of [...svg.getElementsByTagName("style")]) style.parentNode?.removeChild(style);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}. ${description}`);
  svg.insertBefore(textElement(document, "desc", description), svg.firstChild);
  svg.insertBefore(textElement(document, "title", title), svg.firstChild);
  const { width } = options;
  return { width: width ?? 640, svg: new dom.XMLSerializer().serializeToString(svg) };
}

function textElement(document: Document, name: string, text: string): Element {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  element.appendChild(document.createTextNode(text));
  return element;
}
