// No module: those are what a browser refuses to load from disk.
if (location.protocol === "file:") {
  const error = document.getElementById("error");
  error.hidden = false;
  document.getElementById("error-title").textContent = "This page must come from a web server.";
  document.getElementById("error-detail").textContent =
    "Browsers load neither scripts nor models from a folder. In it, run: python3 -m http.server " +
    "--bind 127.0.0.1, or: edgeae web FOLDER --serve";
  document.getElementById("status").textContent = "";
}
