'use strict';
Redoc.init(
    'openapi.json',
    {
        expandResponses: '200,202',
        hideDownloadButton: true,
        nativeScrollbars: true,
        scrollYOffset: 'nav',
        theme: {
            colors: { primary: { main: '#1f4e79' } },
            sidebar: { width: '280px' },
            typography: {
                fontFamily: 'system-ui, sans-serif',
                headings: { fontFamily: 'system-ui, sans-serif' },
                code: { fontFamily: 'ui-monospace, monospace' },
            },
        },
    },
    document.getElementById('redoc'),
);
