// Puts the page up and sets it going.
import { render } from "preact";
import "./styles/tokens.css";
import "./styles/page.css";
import { start } from "./state/running";
import { App } from "./ui/App";

const page = document.getElementById("page")!;
page.replaceChildren(); // what stood there while this script was on its way
render(<App />, page);
void start();
