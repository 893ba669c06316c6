"""An APEX instance for the tests: pages are described in the words of Page Designer and run in a real browser.

What is real: the plug-ins' JavaScript (taken out of the import files, never from client-js/), RTM_PLUGIN and all below
it (interpreted from db/ by tests.db.sandbox), the server, the network between the three, and the browser.
What stands in for Oracle's software: the page engine (this package) and the browser half of APEX (the demo's apex.js).

    plugin     an import file as Page Designer shows it: attributes, lists, defaults, dependencies
    page       regions, items, buttons, dynamic actions and processes of a page
    markup     a page as HTML, with the one inline script that APEX writes
    database   the packages of db/, in a thread of their own, and jobs that sleep
    instance   sessions, rendering, AJAX callbacks, page submits, the scheduler's job
    door       the HTTP server before it, with a strict Content-Security-Policy
    recipe     pages and scripts read out of docs/recipes
"""
